#include "scheduler/gradient_windows.h"
#include "scheduler/passes/passes.h"

namespace weft {
namespace {

class SliceGradients final : public PlanPass {
 public:
  std::string_view name() const override { return "slice_gradients"; }

  void Run(const PlanRequest&, DraftSimulator& simulator, PlanDraft& draft) const override {
    draft.open.slices = true;
    ChooseSlices(simulator, draft);
  }
};

}  // namespace

double ChooseSlices(DraftSimulator& simulator, PlanDraft& draft) {
  const StepModel& model = simulator.model();
  double best = simulator.Seconds(draft);
  const auto consider = [&](const PlanDraft& candidate) {
    const double seconds = simulator.SecondsIfFaster(candidate, best);
    if (!Faster(seconds, best)) return;
    best = seconds;
    draft = candidate;
  };
  const PlanDraft before = draft;
  const std::vector<std::vector<DraftSlice>> whole = MakeDraft(model).slices;
  for (const IntraRule rule : kIntraRules) {
    if (rule != before.rule && !before.open.order) continue;
    PlanDraft candidate = before;
    candidate.rule = rule;
    const std::vector<std::vector<DraftSlice>> filled = FillWindows(model, candidate);
    for (const auto* slices : {&whole, &filled}) {
      for (const bool early : {false, true}) {
        candidate.slices = *slices;
        candidate.early_scatter = early;
        consider(candidate);
      }
    }
  }
  return best;
}

std::unique_ptr<const PlanPass> MakeSliceGradients() { return std::make_unique<SliceGradients>(); }

}  // namespace weft
