#include "scheduler/gradient_windows.h"
#include "scheduler/passes/passes.h"

namespace weft {
namespace {

class GradientsBesideDense final : public PlanPass {
 public:
  std::string_view name() const override { return "gradients_beside_dense"; }

  void Run(const PlanRequest&, DraftSimulator& simulator, PlanDraft& draft) const override {
    const StepModel& model = simulator.model();
    PlanDraft candidate = draft;
    const GradientWindows found = FindGradientWindows(model, draft);
    size_t next = 0;  // windows are taken in order: a gradient does not overtake an earlier one
    for (const PendingGradient& gradient : found.pending) {
      while (next < found.windows.size() &&
             (found.windows[next].inside_pipeline || found.windows[next].end <= gradient.ready)) {
        ++next;
      }
      if (next == found.windows.size()) break;
      candidate.slices[gradient.chain] = {
          DraftSlice{0, model.chains()[gradient.chain].elements, found.windows[next].before}};
    }
    if (Faster(simulator.Seconds(candidate), simulator.Seconds(draft))) draft = candidate;
  }
};

}  // namespace

std::unique_ptr<const PlanPass> MakeGradientsBesideDense() {
  return std::make_unique<GradientsBesideDense>();
}

}  // namespace weft
