#include "runtime/plan_search.h"

#include <algorithm>
#include <optional>
#include <set>
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

// Ways to bring shards of experts together, in all layers alike.
std::vector<Placements> WaysToGather(const StepGraph& graph) {
  std::set<int32_t> layers;
  for (const Op& op : graph.ops) {
    if (op.shards) layers.insert(op.layer);
  }
  std::vector<Placements> ways;
  for (int32_t gathered = 2; gathered <= graph.esp && !layers.empty(); ++gathered) {
    if (graph.esp % gathered != 0) continue;
    Placements& way = ways.emplace_back();
    for (const int32_t layer : layers) {
      way.layers.push_back({layer, ExpertPlacement(graph.experts, graph.ep).by_member(), gathered});
    }
  }
  return ways;
}

// The placements under which the quick policy is predicted fastest; none: of no way.
absl::StatusOr<std::optional<Placements>> Fastest(const PlanningInputs& inputs, int64_t epoch,
                                                  std::vector<Placements> ways) {
  std::optional<Placements> fastest;
  double seconds = 0;
  for (Placements& way : ways) {
    WEFT_ASSIGN_OR_RETURN(const Plan plan, PlanUnder(inputs, kQuickPolicy, epoch, way));
    if (fastest.has_value() && plan.predicted_seconds >= seconds) continue;
    seconds = plan.predicted_seconds;
    fastest = std::move(way);
  }
  return fastest;
}

}  // namespace

StepGraph GraphUnder(const PlanningInputs& inputs, const Placements& placements) {
  if (inputs.loads != nullptr && !inputs.loads->empty())
    return inputs.loads->Apply(*inputs.graph, placements);
  // Under the expected load a rank that has gathered shards gathers the rows of fewer others.
  StepGraph graph = *inputs.graph;
  for (const PlacementChoice& choice : placements.layers) {
    if (choice.gathered == 1) continue;
    const int32_t parts = graph.esp / choice.gathered;
    for (Op& op : graph.ops) {
      const bool rows =
          op.key.kind == OpKind::kEspAllGather || op.key.kind == OpKind::kEspReduceScatter;
      if (rows && op.layer == choice.layer) op.size = op.size * (parts - 1) / (graph.esp - 1);
    }
  }
  return graph;
}

absl::StatusOr<Plan> SearchPlan(const PlanningInputs& inputs, const std::string& policy,
                                int64_t epoch) {
  const std::string& where = inputs.options.expert_placement;
  const bool may_follow = where != "home" && policy == kFollowingPolicy &&
                          inputs.loads != nullptr && ExpertsCanMove(*inputs.graph);
  // Before anything was seen there is nothing to follow but an order to do so.
  const bool follows = may_follow && (where == "follow" || !inputs.loads->empty());
  std::vector<Placements> following;
  for (const FollowLoad& way : follows ? WaysToFollow(inputs) : std::vector<FollowLoad>())
    following.push_back(inputs.loads->FollowAll(way));
  std::vector<Placements> gathering;
  if (where == "auto" && policy == kFollowingPolicy && inputs.options.allow_reassociation)
    gathering = WaysToGather(*inputs.graph);
  std::optional<Plan> best;
  for (std::vector<Placements>* ways : {&following, &gathering}) {
    WEFT_ASSIGN_OR_RETURN(const std::optional<Placements> fastest,
                          Fastest(inputs, epoch, std::move(*ways)));
    if (!fastest.has_value()) continue;
    WEFT_ASSIGN_OR_RETURN(Plan plan, PlanUnder(inputs, policy, epoch, *fastest));
    if (!best.has_value() || plan.predicted_seconds < best->predicted_seconds)
      best = std::move(plan);
  }
  if (follows && where == "follow") return *std::move(best);
  WEFT_ASSIGN_OR_RETURN(Plan home, PlanUnder(inputs, policy, epoch, {}));
  const bool away = best.has_value() && best->predicted_seconds < home.predicted_seconds;
  return away ? *std::move(best) : std::move(home);
}

}  // namespace weft
