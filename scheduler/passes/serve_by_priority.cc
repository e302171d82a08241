#include <algorithm>
#include <utility>
#include <vector>

#include "scheduler/passes/passes.h"

namespace weft {
namespace {

// The fastest uniform degree: of candidates that lie apart, then step by step from the best of
// them, since a pipeline's time falls and rises again with its degree. Returns its time.
double ChooseDegree(const StepModel& model, int32_t max_pieces, PlanDraft& draft) {
  const PlanDraft before = draft;
  const size_t count = model.degrees().size();
  std::vector<bool> tried(count, false);
  double best = 0;
  size_t best_index = 0;
  const auto consider = [&](size_t index) {
    if (tried[index]) return;
    tried[index] = true;
    PlanDraft candidate = before;
    SetUniformDegree(model, model.degrees()[index], max_pieces, candidate);
    const double seconds = SecondsOf(model, candidate);
    if (best > 0 && !Faster(seconds, best)) return;
    best = seconds;
    best_index = index;
    draft = std::move(candidate);
  };
  for (size_t index = 0; index < count; index = 2 * index + 1) consider(index);
  for (size_t from = count; from != best_index;) {
    from = best_index;
    if (from > 0) consider(from - 1);
    if (from + 1 < count) consider(from + 1);
  }
  return best;
}

class ServeByPriority final : public PlanPass {
 public:
  std::string_view name() const override { return "serve_by_priority"; }

  void Run(const PlanRequest&, const StepModel& model, PlanDraft& draft) const override {
    double best = SecondsOf(model, draft);
    for (const PriorityService& service : PriorityServicesOf(model)) {
      PlanDraft candidate = draft;
      const double seconds = ServeBy(service, model, candidate);
      if (!Faster(seconds, best)) continue;
      best = seconds;
      draft = std::move(candidate);
    }
    draft.open.blocks = true;
    draft.open.service = true;
  }
};

}  // namespace

std::vector<PriorityService> PriorityServicesOf(const StepModel& model) {
  const bool can_cut = std::any_of(model.slots().begin(), model.slots().end(),
                                   [](const DegreeSlot& slot) { return slot.has_block; });
  std::vector<PriorityService> services;
  for (const Service service : {Service::kCriticalGaps, Service::kChainGaps, Service::kCriticalPath,
                                Service::kGradientsYield}) {
    services.push_back({service, false});
    if (can_cut) services.push_back({service, true});
  }
  return services;
}

double ServeBy(const PriorityService& service, const StepModel& model, PlanDraft& draft) {
  draft.streams = kNumStreams;
  draft.service = service.service;
  const int32_t max_pieces = service.cut_blocks ? model.graph().block_pieces : 1;
  ChooseDegree(model, max_pieces, draft);
  ChooseChunks(model, draft);
  return ChooseDegree(model, max_pieces, draft);
}

std::unique_ptr<const PlanPass> MakeServeByPriority() {
  return std::make_unique<ServeByPriority>();
}

}  // namespace weft
