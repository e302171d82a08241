#include <utility>

#include "scheduler/passes/passes.h"
#include "scheduler/policies.h"

namespace weft {
namespace {

class BestOfPolicies final : public PlanPass {
 public:
  std::string_view name() const override { return "best_of_policies"; }

  void Run(const PlanRequest& request, DraftSimulator& simulator, PlanDraft& draft) const override {
    const StepModel& model = simulator.model();
    double best = simulator.Seconds(draft);
    for (const std::string& policy : PolicyNames()) {
      if (policy == "weft") continue;  // it is the one that asks
      const absl::StatusOr<PlanPasses> passes = MakePasses(policy, request.without_passes);
      if (!passes.ok()) continue;
      PlanDraft candidate = StartOf(policy, model);
      for (const auto& pass : *passes) pass->Run(request, simulator, candidate);
      const double seconds = simulator.SecondsIfFaster(candidate, best);
      if (!Faster(seconds, best)) continue;
      best = seconds;
      candidate.open = draft.open;
      draft = std::move(candidate);
    }
  }
};

}  // namespace

std::unique_ptr<const PlanPass> MakeBestOfPolicies() { return std::make_unique<BestOfPolicies>(); }

}  // namespace weft
