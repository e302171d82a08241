#include <algorithm>

#include "scheduler/passes/passes.h"

namespace weft {
namespace {

class ChunkGradients final : public PlanPass {
 public:
  std::string_view name() const override { return "chunk_gradients"; }

  void Run(const PlanRequest&, DraftSimulator& simulator, PlanDraft& draft) const override {
    ChooseChunks(simulator, simulator.Seconds(draft), draft);
  }
};

}  // namespace

double ChooseChunks(DraftSimulator& simulator, double best, PlanDraft& draft) {
  const StepModel& model = simulator.model();
  constexpr int kSizes = 8;
  int64_t bytes = 0;
  for (const GradientChain& chain : model.chains()) bytes = std::max(bytes, 4 * chain.elements);
  for (int i = 0; i < kSizes && bytes > 0; ++i, bytes /= 2) {
    PlanDraft candidate = draft;
    candidate.slices = SlicesOf(model, bytes);
    const double seconds = simulator.SecondsIfFaster(candidate, best);
    if (!Faster(seconds, best)) continue;
    best = seconds;
    draft = std::move(candidate);
  }
  return best;
}

std::unique_ptr<const PlanPass> MakeChunkGradients() { return std::make_unique<ChunkGradients>(); }

}  // namespace weft
