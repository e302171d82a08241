#include <utility>

#include "scheduler/passes/passes.h"

namespace weft {
namespace {

class ServeByPriority final : public PlanPass {
 public:
  std::string_view name() const override { return "serve_by_priority"; }

  void Run(const PlanRequest&, const StepModel& model, PlanDraft& draft) const override {
    double best = SecondsOf(model, draft);
    for (const Service service : {Service::kCriticalPath, Service::kGradientsYield}) {
      for (const int32_t pieces : {1, model.graph().block_pieces}) {
        PlanDraft candidate = draft;
        candidate.streams = kNumStreams;
        candidate.service = service;
        const double seconds = Choose(model, pieces, candidate);
        if (!Faster(seconds, best)) continue;
        best = seconds;
        draft = std::move(candidate);
      }
    }
    draft.blocks_open = true;
  }

 private:
  // The fastest uniform degree with gradients as they are, then the fastest gradient chunks, then
  // the degree once more.
  static double Choose(const StepModel& model, int32_t pieces, PlanDraft& draft) {
    ChooseDegree(model, pieces, draft);
    ChooseChunks(model, draft);
    return ChooseDegree(model, pieces, draft);
  }

  static double ChooseDegree(const StepModel& model, int32_t pieces, PlanDraft& draft) {
    const PlanDraft before = draft;
    double best = 0;
    for (const int32_t degree : model.degrees()) {
      PlanDraft candidate = before;
      SetUniformDegree(model, degree, pieces, candidate);
      const double seconds = SecondsOf(model, candidate);
      if (best > 0 && !Faster(seconds, best)) continue;
      best = seconds;
      draft = std::move(candidate);
    }
    return best;
  }
};

}  // namespace

std::unique_ptr<const PlanPass> MakeServeByPriority() {
  return std::make_unique<ServeByPriority>();
}

}  // namespace weft
