#include <algorithm>
#include <utility>

#include "scheduler/passes/passes.h"

namespace weft {
namespace {

class PipelineBlocks final : public PlanPass {
 public:
  std::string_view name() const override { return "pipeline_blocks"; }

  void Run(const PlanRequest&, DraftSimulator& simulator, PlanDraft& draft) const override {
    const StepModel& model = simulator.model();
    const PlanDraft before = draft;
    double best = simulator.Seconds(draft);
    for (const int32_t degree : model.degrees()) {
      PlanDraft candidate = before;
      SetUniformDegree(model, degree, model.graph().sequences, candidate);
      const double seconds = simulator.SecondsIfFaster(candidate, best);
      if (!Faster(seconds, best)) continue;
      best = seconds;
      draft = std::move(candidate);
    }
    draft.open.blocks = true;
  }
};

}  // namespace

void SetUniformDegree(const StepModel& model, int32_t degree, int32_t max_pieces,
                      PlanDraft& draft) {
  for (size_t i = 0; i < draft.slots.size(); ++i) {
    SlotDraft& slot = draft.slots[i];
    slot.degree = degree;
    slot.cut_block = max_pieces > 1 && model.slots()[i].has_block;
    if (!slot.cut_block || degree <= max_pieces) continue;
    slot.degree = 1;
    for (const int32_t smaller : model.degrees()) {
      if (smaller <= max_pieces) slot.degree = std::max(slot.degree, smaller);
    }
  }
}

std::unique_ptr<const PlanPass> MakePipelineBlocks() { return std::make_unique<PipelineBlocks>(); }

}  // namespace weft
