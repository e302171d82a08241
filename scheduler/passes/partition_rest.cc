#include <algorithm>
#include <cmath>
#include <utility>

#include "scheduler/gradient_partition.h"
#include "scheduler/layer_candidates.h"
#include "scheduler/passes/passes.h"

namespace weft {
namespace {

constexpr int64_t kQuanta = 64;  // the rest is placed in pieces of a 64th of it

// A backward pipeline with its gradients between the two all-to-alls.
struct Host {
  size_t slot = 0;
  OpId first;          // of the pipeline
  OpId before;         // what follows the experts on the stream that gradients use
  double carried = 0;  // seconds of slices already there
};

// Elements of a chain that no window has taken, in the order in which gradients become ready.
struct Rest {
  size_t chain = 0;
  OpId last_need;
  int64_t elements = 0;
};

class PartitionRest final : public PlanPass {
 public:
  std::string_view name() const override { return "partition_rest"; }

  void Run(const PlanRequest&, DraftSimulator& simulator, PlanDraft& draft) const override {
    const StepModel& model = simulator.model();
    const std::vector<Host> hosts = FindHosts(model, draft);
    std::vector<Rest> rests = FindRests(model, draft);
    int64_t total = 0;
    for (const Rest& rest : rests) total += rest.elements;
    if (hosts.empty() || total < kQuanta * kSliceBoundary) return;
    const int64_t quantum =
        (total / kQuanta + kSliceBoundary - 1) / kSliceBoundary * kSliceBoundary;

    std::vector<PartitionWindow> windows;
    std::vector<double> end_seconds = {0};
    const OpId inter = InterOp(model, rests.front().chain);
    for (int64_t q = 1; q <= kQuanta + 1; ++q) {
      end_seconds.push_back(model.SliceSeconds(inter, q * quantum));
    }
    int64_t produced_before = 0;
    for (const Host& host : hosts) {
      PartitionWindow window;
      const int64_t produced = ProducedBefore(rests, host.first) / quantum;
      window.produced = produced - std::exchange(produced_before, produced);
      for (int64_t q = 0; q <= produced; ++q) {
        const double gamma = host.carried + end_seconds[static_cast<size_t>(q)];
        window.seconds.push_back(Fastest(model, draft, host.slot, gamma).seconds);
      }
      // Rounding of measured curves must not look like a gain.
      for (size_t q = 1; q < window.seconds.size(); ++q) {
        window.seconds[q] = std::max(window.seconds[q], window.seconds[q - 1]);
      }
      windows.push_back(std::move(window));
    }
    const int64_t all = (total + quantum - 1) / quantum;
    const GradientPartition partition =
        PartitionGradients(windows, all - produced_before, end_seconds);

    PlanDraft candidate = draft;
    for (size_t i = 0; i < hosts.size(); ++i) {
      const int64_t elements = partition.quanta[i] * quantum;
      if (elements == 0) continue;
      Place(hosts[i], elements, rests, candidate);
      const double gamma = hosts[i].carried + end_seconds[static_cast<size_t>(partition.quanta[i])];
      if (draft.open.degrees) {
        candidate.slots[hosts[i].slot].degree = Fastest(model, draft, hosts[i].slot, gamma).degree;
      }
    }
    if (Faster(simulator.Seconds(candidate), simulator.Seconds(draft)))
      draft = std::move(candidate);
  }

 private:
  static OpId InterOp(const StepModel& model, size_t chain) {
    const GradientChain& gradient = model.chains()[chain];
    return gradient.ops[static_cast<size_t>(gradient.inter_op)];
  }

  static LayerCandidate Fastest(const StepModel& model, const PlanDraft& draft, size_t slot,
                                double gamma) {
    const LayerOrder order = draft.slots[slot].ready_first && draft.streams == kNumStreams
                                 ? LayerOrder::kReadyFirst
                                 : OrderUnder(draft.streams);
    const AllToAllAlgorithm algorithm = draft.algorithm(model.slots()[slot]);
    if (draft.open.degrees) return FastestCandidate(model, slot, algorithm, order, gamma);
    return CandidateAt(model, slot, algorithm, order, draft.slots[slot].degree, gamma);
  }

  // In backward order. One slice of a window is enough: only the last micro-batch has gradients.
  static std::vector<Host> FindHosts(const StepModel& model, const PlanDraft& draft) {
    std::vector<Host> hosts;
    for (size_t i = 0; i < model.slots().size(); ++i) {
      const DegreeSlot& slot = model.slots()[i];
      if (slot.direction != Direction::kBackward || slot.pipelines.empty()) continue;
      const Pipeline& pipeline = model.pipelines()[static_cast<size_t>(slot.pipelines.back())];
      const OpId before = BehindExperts(model, draft, pipeline);
      if (pipeline.closed && before.valid()) {
        const OpId first = pipeline.stages_under(draft.algorithm(slot)).front();
        hosts.push_back(Host{i, first, before, Carried(model, draft, before)});
      }
    }
    std::sort(hosts.begin(), hosts.end(),
              [](const Host& a, const Host& b) { return a.first < b.first; });
    return hosts;
  }

  static OpId BehindExperts(const StepModel& model, const PlanDraft& draft,
                            const Pipeline& pipeline) {
    bool computed = false;
    const DegreeSlot& slot = model.slots()[static_cast<size_t>(pipeline.slot)];
    for (const OpId stage : pipeline.stages_under(draft.algorithm(slot))) {
      const StreamKind stream = StreamUnder(draft.streams, model.graph().op(stage).stream);
      computed |= stream == StreamKind::kCompute;
      if (computed && stream == StreamKind::kInter) return stage;
    }
    return OpId{};
  }

  static double Carried(const StepModel& model, const PlanDraft& draft, OpId before) {
    double seconds = 0;
    for (size_t c = 0; c < draft.slices.size(); ++c) {
      for (const DraftSlice& slice : draft.slices[c]) {
        if (slice.before == before) {
          seconds += model.SliceSeconds(InterOp(model, c), slice.end - slice.begin);
        }
      }
    }
    return seconds;
  }

  static std::vector<Rest> FindRests(const StepModel& model, const PlanDraft& draft) {
    std::vector<Rest> rests;
    for (size_t c = 0; c < model.chains().size(); ++c) {
      const GradientChain& chain = model.chains()[c];
      if (chain.inter_op < 0 || chain.gathers || draft.slices[c].empty() ||
          draft.slices[c].back().before.valid()) {
        continue;
      }
      const DraftSlice& last = draft.slices[c].back();
      rests.push_back(
          Rest{c, chain.needs.empty() ? OpId{} : chain.needs.back(), last.end - last.begin});
    }
    std::sort(rests.begin(), rests.end(),
              [](const Rest& a, const Rest& b) { return a.last_need < b.last_need; });
    return rests;
  }

  static int64_t ProducedBefore(const std::vector<Rest>& rests, OpId first) {
    int64_t elements = 0;
    for (const Rest& rest : rests) {
      if (rest.last_need < first) elements += rest.elements;
    }
    return elements;
  }

  // Takes `elements` from what waits, earliest gradient first.
  static void Place(const Host& host, int64_t elements, std::vector<Rest>& rests,
                    PlanDraft& draft) {
    for (Rest& rest : rests) {
      if (elements <= 0 || !(rest.last_need < host.first)) return;
      if (rest.elements == 0) continue;
      std::vector<DraftSlice>& slices = draft.slices[rest.chain];
      const DraftSlice whole = slices.back();
      const int64_t cut = (whole.begin + elements) / kSliceBoundary * kSliceBoundary;
      const int64_t end = elements >= rest.elements ? whole.end : std::max(cut, whole.begin);
      if (end == whole.begin) return;
      slices.back() = DraftSlice{whole.begin, end, host.before};
      if (end < whole.end) slices.push_back(DraftSlice{end, whole.end, OpId{}});
      elements -= end - whole.begin;
      rest.elements -= end - whole.begin;
    }
  }
};

}  // namespace

std::unique_ptr<const PlanPass> MakePartitionRest() { return std::make_unique<PartitionRest>(); }

}  // namespace weft
