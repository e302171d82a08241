#include "runtime/plan_search.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "base/status_macros.h"
#include "runtime/plan_request.h"
#include "scheduler/placement/placement_terms.h"
#include "scheduler/planner.h"

namespace weft {
namespace {

constexpr char kFollowingPolicy[] = "weft";
// The policy that compares ways to follow the load: it takes milliseconds.
constexpr char kQuickPolicy[] = "fsmoe";

absl::StatusOr<Plan> PlanUnder(const PlanningInputs& inputs, const std::string& policy,
                               int64_t epoch, const Placements& placements) {
  const StepGraph graph = GraphUnder(inputs, placements);
  PlanRequest request = PlanRequestOf(inputs.options, policy);
  request.graph = &graph;
  request.costs = inputs.costs.get();
  request.epoch = epoch;
  request.placements = placements;
  return MakePlan(request);
}

bool ExpertsCanMove(const StepGraph& graph) {
  return std::any_of(graph.ops.begin(), graph.ops.end(), [](const Op& op) { return op.away; });
}

// Ways to follow the load: how much of the communication counts, how long a memory.
std::vector<FollowLoad> WaysToFollow(const PlanningInputs& inputs) {
  std::vector<FollowLoad> ways;
  for (const double exposed : {1.0, 0.25}) {
    FollowLoad way =
        PlacementTerms(*inputs.graph, *inputs.costs, inputs.arrived_rows,
                       inputs.rows * (inputs.graph->ep - 1) / inputs.graph->ep, exposed);
    way.copies = inputs.options.allow_reassociation;
    for (const int32_t window : {1, 8}) {
      way.window = window;
      ways.push_back(way);
    }
  }
  return ways;
}

}  // namespace

StepGraph GraphUnder(const PlanningInputs& inputs, const Placements& placements) {
  return inputs.loads == nullptr ? *inputs.graph : inputs.loads->Apply(*inputs.graph, placements);
}

absl::StatusOr<Plan> SearchPlan(const PlanningInputs& inputs, const std::string& policy,
                                int64_t epoch) {
  const std::string& where = inputs.options.expert_placement;
  const bool may_follow = where != "home" && policy == kFollowingPolicy &&
                          inputs.loads != nullptr && ExpertsCanMove(*inputs.graph);
  // Before anything was seen there is nothing to follow but an order to do so.
  const bool follows = may_follow && (where == "follow" || !inputs.loads->empty());
  std::optional<Placements> fastest;
  double seconds = 0;
  for (const FollowLoad& way : follows ? WaysToFollow(inputs) : std::vector<FollowLoad>()) {
    Placements placements = inputs.loads->FollowAll(way);
    WEFT_ASSIGN_OR_RETURN(const Plan plan, PlanUnder(inputs, kQuickPolicy, epoch, placements));
    if (fastest.has_value() && plan.predicted_seconds >= seconds) continue;
    seconds = plan.predicted_seconds;
    fastest = std::move(placements);
  }
  std::optional<Plan> following;
  if (fastest.has_value()) {
    WEFT_ASSIGN_OR_RETURN(following, PlanUnder(inputs, policy, epoch, *fastest));
    if (where == "follow") return *std::move(following);
  }
  WEFT_ASSIGN_OR_RETURN(Plan home, PlanUnder(inputs, policy, epoch, {}));
  const bool away = following.has_value() && following->predicted_seconds < home.predicted_seconds;
  return away ? *std::move(following) : std::move(home);
}

}  // namespace weft
