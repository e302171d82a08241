#include "scheduler/layer_candidates.h"
#include "scheduler/passes/passes.h"

namespace weft {
namespace {

class ChooseDegrees final : public PlanPass {
 public:
  std::string_view name() const override { return "choose_degrees"; }

  void Run(const PlanRequest&, DraftSimulator& simulator, PlanDraft& draft) const override {
    ChooseDegreesAlone(simulator, draft);
    draft.open.degrees = true;
  }
};

}  // namespace

void ChooseDegreesAlone(DraftSimulator& simulator, PlanDraft& draft) {
  const StepModel& model = simulator.model();
  PlanDraft chosen = draft;
  std::vector<int32_t> degree_of_class(static_cast<size_t>(model.num_cost_classes()), 0);
  for (size_t i = 0; i < model.slots().size(); ++i) {
    int32_t& degree = degree_of_class[static_cast<size_t>(model.slots()[i].cost_class)];
    if (model.slots()[i].pipelines.empty()) continue;
    if (degree == 0) {
      degree =
          FastestCandidate(model, i, draft.algorithm(model.slots()[i]), OrderUnder(draft.streams))
              .degree;
    }
    chosen.slots[i].degree = degree;
  }
  // A pipeline that is faster alone may still cost the step time: what stands beside it is not in
  // its model.
  if (simulator.Seconds(chosen) <= simulator.Seconds(draft)) {
    draft = chosen;
  }
}

std::unique_ptr<const PlanPass> MakeChooseDegrees() { return std::make_unique<ChooseDegrees>(); }

}  // namespace weft
