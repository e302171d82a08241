#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "graph/plan.h"
#include "scheduler/cost_model.h"
#include "scheduler/draft_simulator.h"
#include "scheduler/plan_draft.h"
#include "scheduler/policies.h"
#include "scheduler/step_model.h"

// From what must be computed (StepGraph) and what it costs (CostModel) to a Plan. A policy is a
// list of passes over one draft; each pass keeps a change only when the simulated step gets faster.
// Same inputs, same plan: no clock, no address and no hash order takes part.

namespace weft {

struct PlanRequest {
  const StepGraph* graph = nullptr;
  const CostModel* costs = nullptr;
  std::string policy = "weft";                        // one of PolicyNames()
  std::vector<int32_t> degrees = {1, 2, 3, 4, 6, 8};  // candidate pipeline degrees, 1 to 1024
  // Candidates where an EP group spans nodes; a policy knows some of them.
  std::vector<AllToAllAlgorithm> all_to_alls{kAllToAllAlgorithms.begin(),
                                             kAllToAllAlgorithms.end()};
  // Passes left out, also where the policy tries those of others; of PassNames().
  std::vector<std::string> without_passes = {};
  // Where experts do not work at home. Sizes in the graph are those under these placements.
  Placements placements = {};
  int64_t epoch = 0;
  // How long `refine` may search: simulated tasks over all its simulations.
  int64_t search_tasks = 500'000;
};

class PlanPass {
 public:
  virtual ~PlanPass() = default;
  virtual std::string_view name() const = 0;
  // Improves the draft; never makes the simulated step slower.
  virtual void Run(const PlanRequest& request, DraftSimulator& simulator,
                   PlanDraft& draft) const = 0;
};

// A plan that ValidatePlan accepts, with predictions. kInvalidArgument when the request or its
// graph is not valid.
absl::StatusOr<Plan> MakePlan(const PlanRequest& request, const PlanPasses& passes);

// With the passes of request.policy but request.without_passes.
absl::StatusOr<Plan> MakePlan(const PlanRequest& request);

}  // namespace weft
