#include <algorithm>
#include <utility>
#include <vector>

#include "scheduler/passes/passes.h"

namespace weft {
namespace {

// Looks for the fastest uniform degree, if it is faster than `hopeless`.
class DegreeSearch {
 public:
  DegreeSearch(DraftSimulator& simulator, int32_t max_pieces, double hopeless)
      : simulator_(simulator),
        model_(simulator.model()),
        max_pieces_(max_pieces),
        count_(model_.degrees().size()),
        best_seconds_(hopeless),
        best_(count_) {}

  // Among candidates that lie apart, then step by step from the best of them, since a pipeline's
  // time falls and rises again with its degree. Returns its time; `hopeless` if there is none.
  double Run(PlanDraft& draft) {
    tried_.assign(count_, false);
    const PlanDraft before = draft;
    std::vector<size_t> apart;
    for (size_t index = 0; index < count_; index = 2 * index + 1) apart.push_back(index);
    // From the largest, beside which a bound rules out most of the others; of equals the smallest.
    std::for_each(apart.rbegin(), apart.rend(),
                  [&](size_t index) { Consider(before, index, draft); });
    Walk(before, draft);
    return best_seconds_;
  }

  // From the best degree of before on, with which the draft now takes `seconds`.
  double RunAgain(double seconds, PlanDraft& draft) {
    best_seconds_ = seconds;
    tried_.assign(count_, false);
    tried_[best_] = true;
    const PlanDraft before = draft;
    Walk(before, draft);
    return best_seconds_;
  }

 private:
  void Walk(const PlanDraft& before, PlanDraft& draft) {
    for (size_t from = count_; from != best_;) {
      from = best_;
      if (from > 0) Consider(before, from - 1, draft);
      if (from + 1 < count_) Consider(before, from + 1, draft);
    }
  }

  void Consider(const PlanDraft& before, size_t index, PlanDraft& draft) {
    if (tried_[index]) return;
    tried_[index] = true;
    PlanDraft candidate = before;
    SetUniformDegree(model_, model_.degrees()[index], max_pieces_, candidate);
    const double seconds = simulator_.SecondsIfFaster(candidate, best_seconds_);
    const bool better = index < best_ ? !Faster(best_seconds_, seconds)  // or as fast
                                      : Faster(seconds, best_seconds_);
    if (!better) return;
    best_seconds_ = seconds;
    best_ = index;
    draft = std::move(candidate);
  }

  DraftSimulator& simulator_;
  const StepModel& model_;
  const int32_t max_pieces_;
  const size_t count_;
  std::vector<bool> tried_;
  double best_seconds_;
  size_t best_;  // count_: none
};

class ServeByPriority final : public PlanPass {
 public:
  std::string_view name() const override { return "serve_by_priority"; }

  void Run(const PlanRequest& request, DraftSimulator& simulator, PlanDraft& draft) const override {
    draft.open.blocks = !LeavesOut(request, "pipeline_blocks");
    draft.open.chunks = !LeavesOut(request, "chunk_gradients");
    draft.open.service = true;
    double best = simulator.Seconds(draft);
    for (const PriorityService& service :
         PriorityServicesOf(simulator.model(), draft.open.blocks)) {
      PlanDraft candidate = draft;
      const double seconds = ServeBy(service, simulator, best, candidate);
      if (!Faster(seconds, best)) continue;
      best = seconds;
      draft = std::move(candidate);
    }
  }
};

}  // namespace

std::vector<PriorityService> PriorityServicesOf(const StepModel& model, bool cut_blocks) {
  const bool can_cut =
      cut_blocks && std::any_of(model.slots().begin(), model.slots().end(),
                                [](const DegreeSlot& slot) { return slot.has_block; });
  std::vector<PriorityService> services;
  for (const Service service : {Service::kCriticalGaps, Service::kChainGaps, Service::kCriticalPath,
                                Service::kGradientsYield}) {
    services.push_back({service, false});
    if (can_cut) services.push_back({service, true});
  }
  return services;
}

double ServeBy(const PriorityService& service, DraftSimulator& simulator, double best,
               PlanDraft& draft) {
  draft.streams = kNumStreams;
  draft.service = service.service;
  const double hopeless = kHopeless * best;
  const int32_t pieces = service.cut_blocks ? simulator.model().graph().block_pieces : 1;
  DegreeSearch degrees(simulator, pieces, hopeless);
  double seconds = degrees.Run(draft);
  if (seconds >= hopeless) return seconds;
  if (draft.open.chunks) seconds = ChooseChunks(simulator, seconds, draft);
  return degrees.RunAgain(seconds, draft);
}

std::unique_ptr<const PlanPass> MakeServeByPriority() {
  return std::make_unique<ServeByPriority>();
}

}  // namespace weft
