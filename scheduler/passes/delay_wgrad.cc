#include "scheduler/passes/passes.h"

namespace weft {
namespace {

class DelayWgrad final : public PlanPass {
 public:
  std::string_view name() const override { return "delay_wgrad"; }

  void Run(const PlanRequest&, DraftSimulator& simulator, PlanDraft& draft) const override {
    const StepModel& model = simulator.model();
    draft.open.wgrad = true;
    double best = simulator.Seconds(draft);
    for (int32_t cost_class = 0; cost_class < model.num_cost_classes(); ++cost_class) {
      PlanDraft candidate = draft;
      bool changed = false;
      for (size_t i = 0; i < model.slots().size(); ++i) {
        const DegreeSlot& slot = model.slots()[i];
        if (slot.cost_class != cost_class || !slot.has_wgrad) continue;
        candidate.slots[i].delay_wgrad = true;
        changed = true;
      }
      if (!changed) continue;
      const double seconds = simulator.SecondsIfFaster(candidate, best);
      if (!Faster(seconds, best)) continue;
      best = seconds;
      draft = candidate;
    }
  }
};

}  // namespace

std::unique_ptr<const PlanPass> MakeDelayWgrad() { return std::make_unique<DelayWgrad>(); }

}  // namespace weft
