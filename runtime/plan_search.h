#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
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
  // By Plan::sm_limit, of those that the backend offers.
  std::map<int32_t, std::shared_ptr<const CostModel>> limited_costs = {};
  TuningOptions options;
  // Rows of a rank per micro-batch, before and after the ESP all-gather; read with loads only.
  double rows = 0, arrived_rows = 0;
  std::vector<HomeChoice> homes = {};  // where experts live now

  // What a plan with this limit is reckoned with.
  const CostModel& CostsUnder(int32_t sm_limit) const;
};

// The graph with the sizes that tasks have under these placements, over the last steps in the mean.
StepGraph GraphUnder(const PlanningInputs& inputs, const Placements& placements);

// What a plan's step takes, simulated once for each of the last steps' loads
// (ExpertLoads::ApplyEach) and not once for their mean sizes: where hot experts take turns, one
// step waits for a link and the next for a product, and the mean sizes show neither wait.
struct StepPrediction {
  double seconds = 0;                 // the mean; of the expected load where nothing was recorded
  std::optional<double> p90_seconds;  // 90th percentile; nothing where nothing was recorded
};
// REQUIRES: a plan that is valid for inputs.graph.
StepPrediction PredictStep(const PlanningInputs& inputs, const Plan& plan);

// A plan that a search has compared with others.
struct PlanCandidate {
  std::string experts;  // where they work, for people; and the limit of multiprocessors
  // Of the policy that was asked for where the candidate is the fastest of its kind (at home,
  // following, gathering); of one that plans quickly where that has said that it is not.
  Plan plan;
  // Predicted: of a finalist by PredictStep, of others for the mean sizes; and the part of a step
  // in what its experts take to move to other homes, which pays for itself until the next look.
  double seconds = 0;
  bool finalist = false;
  std::optional<double> p90_seconds = {};  // of a finalist, by PredictStep
};

// The finalist with the least mean step; of those at most 0.5% slower, the one with the least 90th
// percentile; of equal ones the first. REQUIRES: there is a finalist.
size_t BestOf(const std::vector<PlanCandidate>& candidates);

struct PlanSearch {
  std::vector<PlanCandidate> candidates;
  size_t chosen = 0;

  const PlanCandidate& best() const { return candidates[chosen]; }
  const Plan& plan() const { return best().plan; }
};

// The plan of a policy, for experts that live where they do. `weft` also decides where experts work
// and live, as options.expert_placement lets it: the best (BestOf) of a plan with all experts at
// home, of plans that follow the load, each simulated with what its placements would have made of
// the last steps, and, where sums may be reassociated, of plans that let experts live elsewhere
// from now on, and of plans that gather shards of experts instead of rows. Plans of one kind are
// made for and compared by the mean sizes of the last steps; only the fastest of each kind, the
// finalists, are simulated for every step. The best of them is also planned for each limit of
// multiprocessors that the backend offers. At least one candidate.
absl::StatusOr<PlanSearch> SearchPlans(const PlanningInputs& inputs, const std::string& policy,
                                       int64_t epoch);
// The chosen one alone.
absl::StatusOr<Plan> SearchPlan(const PlanningInputs& inputs, const std::string& policy,
                                int64_t epoch);

}  // namespace weft
