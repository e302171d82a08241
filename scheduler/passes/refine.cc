#include <algorithm>
#include <unordered_set>
#include <utility>

#include "base/fingerprint.h"
#include "scheduler/gradient_windows.h"
#include "scheduler/passes/passes.h"

namespace weft {
namespace {

// Of what a draft decides.
uint64_t FingerprintOf(const PlanDraft& draft) {
  uint64_t fingerprint = 0;
  const auto add = [&fingerprint](auto value) {
    fingerprint = CombineFingerprints(fingerprint, static_cast<uint64_t>(value));
  };
  add(draft.streams);
  add(draft.service);
  add(draft.rule);
  add(draft.early_scatter);
  for (const SlotDraft& slot : draft.slots) {
    add(slot.degree * 8 + (slot.ready_first ? 4 : 0) + (slot.delay_wgrad ? 2 : 0) +
        (slot.cut_block ? 1 : 0));
  }
  for (const std::vector<DraftSlice>& slices : draft.slices) {
    add(slices.size());
    for (const DraftSlice& slice : slices) {
      add(slice.begin);
      add(slice.end);
      add(slice.before.value);
    }
  }
  for (const AllToAllAlgorithm algorithm : draft.all_to_alls) add(algorithm);
  for (const int32_t task : draft.order) add(task);
  return fingerprint;
}

// Coordinate descent with a budget of simulated tasks: first what all layers of equal cost share,
// then single layers.
class Search {
 public:
  Search(DraftSimulator& simulator, PlanDraft& draft, int64_t& tasks_left)
      : simulator_(simulator), model_(simulator.model()), best_(draft), tasks_left_(tasks_left) {
    const SimulatedDraft simulated = simulator_.Simulate(best_);
    best_seconds_ = simulated.seconds;
    tasks_left_ -= simulated.tasks;
  }

  // Returns the seconds of the step.
  double Run() {
    bool improved = true;
    while (improved && tasks_left_ > 0) {
      improved = false;
      if (best_.open.order && !listed()) improved |= TryRules();
      improved |= TryAllToAlls();
      for (int32_t c = 0; c < model_.num_cost_classes(); ++c) improved |= TryClass(c);
      for (size_t slot = 0; slot < best_.slots.size(); ++slot) improved |= TrySlot(slot);
      if (best_.open.slices) improved |= TrySlices();
    }
    return best_seconds_;
  }

 private:
  bool Try(PlanDraft candidate) {
    if (tasks_left_ <= 0 || !Legal(candidate)) return false;
    // What was tried was kept, or not faster than what was best then: it is not now.
    if (!tried_.insert(FingerprintOf(candidate)).second) return false;
    const SimulatedDraft simulated = simulator_.SimulateIfFaster(candidate, best_seconds_);
    tasks_left_ -= simulated.tasks;
    const double seconds = simulated.seconds;
    if (!Faster(seconds, best_seconds_)) return false;
    best_ = std::move(candidate);
    best_seconds_ = seconds;
    return true;
  }

  // A block has no more pieces than it can be cut into.
  bool Legal(const PlanDraft& draft) const {
    return std::all_of(draft.slots.begin(), draft.slots.end(), [&](const SlotDraft& slot) {
      return !slot.cut_block || slot.degree <= model_.graph().block_pieces;
    });
  }

  bool TryRules() {
    bool improved = false;
    for (const IntraRule rule : kIntraRules) {
      if (rule == best_.rule) continue;
      PlanDraft candidate = best_;
      candidate.rule = rule;
      improved |= Try(std::move(candidate));
    }
    return improved;
  }

  // In all layers, then in each.
  bool TryAllToAlls() {
    bool improved = false;
    const std::vector<AllToAllAlgorithm> candidates = best_.open.all_to_alls;
    for (const AllToAllAlgorithm algorithm : candidates) {
      PlanDraft everywhere = best_;
      for (const int32_t layer : model_.choosers())
        everywhere.all_to_alls[static_cast<size_t>(layer)] = algorithm;
      improved |= Try(std::move(everywhere));
      for (const int32_t layer : model_.choosers()) {
        if (best_.all_to_alls[static_cast<size_t>(layer)] == algorithm) continue;
        PlanDraft candidate = best_;
        candidate.all_to_alls[static_cast<size_t>(layer)] = algorithm;
        improved |= Try(std::move(candidate));
      }
    }
    return improved;
  }

  bool TryClass(int32_t cost_class) {
    std::vector<size_t> members;
    for (size_t i = 0; i < model_.slots().size(); ++i) {
      if (model_.slots()[i].cost_class == cost_class) members.push_back(i);
    }
    bool improved = false;
    const auto change = [&](auto apply) {
      PlanDraft candidate = best_;
      for (const size_t i : members) apply(candidate.slots[i]);
      if (best_.open.slices &&
          !listed()) {  // other windows: what fills them is a part of the change
        PlanDraft refilled = candidate;
        refilled.slices = FillWindows(model_, refilled);
        improved |= Try(std::move(refilled));
      }
      improved |= Try(std::move(candidate));
    };
    for (const int32_t degree : Degrees()) {
      change([&](SlotDraft& slot) { slot.degree = degree; });
      if (best_.open.order && !listed()) {
        change([&](SlotDraft& slot) {
          slot.degree = degree;
          slot.ready_first = !slot.ready_first;
        });
      }
    }
    if (best_.open.order && !best_.open.degrees && !listed()) {
      change([](SlotDraft& slot) { slot.ready_first = !slot.ready_first; });
    }
    if (CanDelayWgrad(members.front())) {
      change([](SlotDraft& slot) { slot.delay_wgrad = !slot.delay_wgrad; });
    }
    if (CanCutBlock(members.front())) {
      for (const int32_t degree : model_.degrees()) {
        if (degree > model_.graph().block_pieces) break;
        change([&](SlotDraft& slot) {
          slot.cut_block = !slot.cut_block;
          slot.degree = degree;
        });
      }
    }
    return improved;
  }

  bool TrySlot(size_t index) {
    bool improved = false;
    const auto change = [&](auto apply) {
      PlanDraft candidate = best_;
      apply(candidate.slots[index]);
      improved |= Try(std::move(candidate));
    };
    const std::vector<int32_t> degrees = Degrees();
    const auto here = std::lower_bound(degrees.begin(), degrees.end(), best_.slots[index].degree);
    std::vector<int32_t> neighbours;
    if (here != degrees.begin()) neighbours.push_back(*(here - 1));
    if (here != degrees.end() && here + 1 != degrees.end()) neighbours.push_back(*(here + 1));
    for (const int32_t degree : neighbours) change([&](SlotDraft& slot) { slot.degree = degree; });
    if (best_.open.order && !listed()) {
      change([](SlotDraft& slot) { slot.ready_first = !slot.ready_first; });
    }
    if (CanDelayWgrad(index)) {
      change([](SlotDraft& slot) { slot.delay_wgrad = !slot.delay_wgrad; });
    }
    return improved;
  }

  bool TrySlices() {
    PlanDraft candidate = best_;
    if (listed()) {
      if (!best_.open.chunks) return false;
      ChooseChunks(simulator_, best_seconds_, candidate);
    } else {
      ChooseSlices(simulator_, candidate);
    }
    return Try(std::move(candidate));
  }

  std::vector<int32_t> Degrees() const {
    return best_.open.degrees ? model_.degrees() : std::vector<int32_t>{};
  }
  bool listed() const { return best_.service != Service::kInOrder; }
  bool CanDelayWgrad(size_t slot) const {
    return best_.open.wgrad && !listed() && model_.slots()[slot].has_wgrad;
  }
  bool CanCutBlock(size_t slot) const {
    return best_.open.blocks && listed() && model_.slots()[slot].has_block;
  }

  DraftSimulator& simulator_;
  const StepModel& model_;
  PlanDraft& best_;
  double best_seconds_ = 0;
  int64_t& tasks_left_;
  std::unordered_set<uint64_t> tried_;
};

class Refine final : public PlanPass {
 public:
  std::string_view name() const override { return "refine"; }

  void Run(const PlanRequest& request, DraftSimulator& simulator, PlanDraft& draft) const override {
    int64_t tasks_left = request.search_tasks;
    double best = Search(simulator, draft, tasks_left).Run();
    if (!draft.open.service) return;
    const PlanDraft refined = draft;
    for (const PriorityService& service :
         PriorityServicesOf(simulator.model(), draft.open.blocks)) {
      if (tasks_left <= 0) return;
      PlanDraft candidate = refined;
      if (ServeBy(service, simulator, best, candidate) >= kHopeless * best) continue;
      const double seconds = Search(simulator, candidate, tasks_left).Run();
      if (!Faster(seconds, best)) continue;
      best = seconds;
      draft = std::move(candidate);
    }
  }
};

}  // namespace

std::unique_ptr<const PlanPass> MakeRefine() { return std::make_unique<Refine>(); }

}  // namespace weft
