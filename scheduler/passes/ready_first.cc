#include "scheduler/layer_candidates.h"
#include "scheduler/passes/passes.h"

namespace weft {
namespace {

class ReadyFirst final : public PlanPass {
 public:
  std::string_view name() const override { return "ready_first"; }

  void Run(const PlanRequest&, DraftSimulator& simulator, PlanDraft& draft) const override {
    const StepModel& model = simulator.model();
    draft.open.order = true;
    const PlanDraft reordered = WithReadyPipelines(model, draft);
    PlanDraft best = draft;
    double best_seconds = simulator.Seconds(draft);
    for (const PlanDraft* pipelines : {&reordered, static_cast<const PlanDraft*>(&draft)}) {
      for (const IntraRule rule : kIntraRules) {
        PlanDraft candidate = *pipelines;
        candidate.rule = rule;
        const double seconds = simulator.SecondsIfFaster(candidate, best_seconds);
        if (!Faster(seconds, best_seconds)) continue;
        best = candidate;
        best_seconds = seconds;
      }
    }
    draft = best;
  }

 private:
  // Every pipeline that is faster alone in the ready-first order takes it, with its best degree
  // there.
  static PlanDraft WithReadyPipelines(const StepModel& model, const PlanDraft& draft) {
    PlanDraft result = draft;
    for (size_t i = 0; i < model.slots().size(); ++i) {
      SlotDraft& slot = result.slots[i];
      if (model.slots()[i].pipelines.empty()) continue;
      const AllToAllAlgorithm algorithm = draft.algorithm(model.slots()[i]);
      double best =
          CandidateAt(model, i, algorithm, LayerOrder::kGathersFirst, slot.degree).seconds;
      for (const LayerCandidate& candidate :
           CandidatesOf(model, i, algorithm, LayerOrder::kReadyFirst)) {
        if (!draft.open.degrees && candidate.degree != slot.degree) continue;
        if (!Faster(candidate.seconds, best)) continue;
        best = candidate.seconds;
        slot.ready_first = true;
        slot.degree = candidate.degree;
      }
    }
    return result;
  }
};

}  // namespace

std::unique_ptr<const PlanPass> MakeReadyFirst() { return std::make_unique<ReadyFirst>(); }

}  // namespace weft
