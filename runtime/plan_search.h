#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "graph/plan.h"
#include "graph/step_graph.h"
#include "runtime/expert_loads.h"
#include "runtime/options.h"
#include "scheduler/cost_model.h"

namespace weft {

// What the plans of a job are made from. Nobody changes what it points to: it may be used on
// another thread while the job goes on.
struct PlanningInputs {
  std::shared_ptr<const StepGraph> graph;    // under the expected load
  std::shared_ptr<const ExpertLoads> loads;  // null: the expected load is all that is known
  std::shared_ptr<const CostModel> costs;
  TuningOptions options;
  // Rows of a rank per micro-batch, before and after the ESP all-gather; read with loads only.
  double rows = 0, arrived_rows = 0;
};

// The graph with the sizes that tasks have under these placements.
StepGraph GraphUnder(const PlanningInputs& inputs, const Placements& placements);

// A plan that a search has compared with others.
struct PlanCandidate {
  std::string experts;  // where they work, for people
  // Of the policy that was asked for where the candidate is the fastest of its kind (at home,
  // following, gathering); of one that plans quickly where that has said that it is not.
  Plan plan;
  double seconds = 0;  // predicted
  bool finalist = false;
};

struct PlanSearch {
  std::vector<PlanCandidate> candidates;
  size_t chosen = 0;

  const Plan& plan() const { return candidates[chosen].plan; }
};

// The plan of a policy. `weft` also decides where experts work, as options.expert_placement lets
// it: the fastest predicted of a plan with all experts at home, of plans that follow the load,
// each simulated with what its placements would have made of the last steps, and, where sums may be
// reassociated, of plans that gather shards of experts instead of rows. At least one candidate.
absl::StatusOr<PlanSearch> SearchPlans(const PlanningInputs& inputs, const std::string& policy,
                                       int64_t epoch);
// The chosen one alone.
absl::StatusOr<Plan> SearchPlan(const PlanningInputs& inputs, const std::string& policy,
                                int64_t epoch);

}  // namespace weft
