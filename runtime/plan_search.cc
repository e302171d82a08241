#include "runtime/plan_search.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "runtime/plan_request.h"
#include "runtime/statistics.h"
#include "scheduler/placement/placement_terms.h"
#include "scheduler/planner.h"
#include "scheduler/simulate.h"

namespace weft {
namespace {

// Decides where experts work, and how much of a device communication gets.
constexpr char kSearchingPolicy[] = "weft";
// The policy that compares ways to follow the load: it takes milliseconds.
constexpr char kQuickPolicy[] = "fsmoe";
// Times the least mean: among plans this close the rarely slow one is better.
constexpr double kAboutAsFast = 1.005;

absl::StatusOr<Plan> PlanUnder(const PlanningInputs& inputs, const std::string& policy,
                               int64_t epoch, const Placements& placements, int32_t sm_limit = 0) {
  const StepGraph graph = GraphUnder(inputs, placements);
  PlanRequest request = PlanRequestOf(inputs.options, policy);
  request.graph = &graph;
  request.costs = &inputs.CostsUnder(sm_limit);
  request.epoch = epoch;
  request.placements = placements;
  WEFT_ASSIGN_OR_RETURN(Plan plan, MakePlan(request));
  plan.sm_limit = sm_limit;
  return plan;
}

bool ExpertsCanMove(const StepGraph& graph) {
  return std::any_of(graph.ops.begin(), graph.ops.end(), [](const Op& op) { return op.away; });
}

// One way to let experts work elsewhere.
struct Way {
  std::string experts;
  Placements placements;
};

FollowLoad TermsOf(const PlanningInputs& inputs, double exposed) {
  FollowLoad terms =
      PlacementTerms(*inputs.graph, *inputs.costs, inputs.arrived_rows,
                     inputs.rows * (inputs.graph->ep - 1) / inputs.graph->ep, exposed);
  terms.copies = inputs.options.allow_reassociation;
  return terms;
}

// Ways to follow the load: how much of the communication counts, how long a memory.
std::vector<Way> WaysToFollow(const PlanningInputs& inputs) {
  std::vector<Way> ways;
  for (const double exposed : {1.0, 0.25}) {
    FollowLoad terms = TermsOf(inputs, exposed);
    for (const int32_t window : {1, 8}) {
      terms.window = window;
      ways.push_back(
          {absl::StrFormat("follow %d step%s, %g exposed", window, window == 1 ? "" : "s", exposed),
           inputs.loads->FollowAll(terms, inputs.homes)});
    }
  }
  return ways;
}

// Ways to let experts live elsewhere from now on; with `follow` also to follow the load from there.
std::vector<Way> WaysToRebalance(const PlanningInputs& inputs, bool follow) {
  std::vector<Way> ways;
  for (const double exposed : {1.0, 0.25}) {
    const FollowLoad terms = TermsOf(inputs, exposed);
    Way way;
    way.experts = absl::StrFormat("rebalance, %g exposed", exposed);
    way.placements.homes = inputs.loads->Rebalance(terms, inputs.homes);
    if (way.placements.homes == inputs.homes) continue;
    if (follow) {
      ways.push_back({absl::StrFormat("rebalance+follow, %g exposed", exposed),
                      inputs.loads->FollowAll(terms, way.placements.homes)});
    }
    ways.push_back(std::move(way));
  }
  return ways;
}

// How many experts the busiest member sends or receives so that they live elsewhere.
int32_t MostMoved(const ExpertHomes& from, const ExpertHomes& to, int32_t ep) {
  const int32_t experts = from.experts();
  std::vector<int32_t> leaving(static_cast<size_t>(ep), 0);  // and as many come
  for (int32_t e = 0; e < experts; ++e) {
    const int32_t before = HomeOf(experts, ep, from.home_of(e));
    if (before != HomeOf(experts, ep, to.home_of(e))) ++leaving[static_cast<size_t>(before)];
  }
  return *std::max_element(leaving.begin(), leaving.end());
}

// What experts take to move to the homes of a plan, per step until the next look: master weights
// and both moments, in fp32, which under ZeRO-1 are gathered first.
double MovingSeconds(const PlanningInputs& inputs, const std::vector<HomeChoice>& homes) {
  if (homes == inputs.homes) return 0;
  const StepGraph& graph = *inputs.graph;
  double seconds = 0;
  for (const Op& op : graph.ops) {
    const bool moves = op.key.kind == OpKind::kExpertWeights && op.micro_batch == 0;
    const bool gathers = op.key.kind == OpKind::kExpertParamAllGather;
    if (!moves && !gathers) continue;
    const int32_t moved = MostMoved(HomesOf(inputs.homes, graph.experts, op.layer),
                                    HomesOf(homes, graph.experts, op.layer), graph.ep);
    if (moved == 0) continue;
    const auto wider =
        static_cast<double>(SizeOf(DType::kF32)) / static_cast<double>(SizeOf(op.key.dtype));
    const double tensor = (moves ? moved : 1) * op.size * wider;
    seconds += 3 * inputs.costs->Estimate(op.key, tensor).seconds;
  }
  return seconds / inputs.options.replan_every;
}

// Ways to bring shards of experts together, in all layers alike.
std::vector<Way> WaysToGather(const PlanningInputs& inputs) {
  const StepGraph& graph = *inputs.graph;
  std::set<int32_t> layers;
  for (const Op& op : graph.ops) {
    if (op.shards) layers.insert(op.layer);
  }
  std::vector<Way> ways;
  for (int32_t gathered = 2; gathered <= graph.esp && !layers.empty(); ++gathered) {
    if (graph.esp % gathered != 0) continue;
    Way& way = ways.emplace_back();
    way.experts = absl::StrFormat("gather %d of %d shards", gathered, graph.esp);
    way.placements.homes = inputs.homes;
    for (const int32_t layer : layers) {
      way.placements.layers.push_back(
          {layer, ExpertPlacement(graph.experts, graph.ep).by_member(), gathered});
    }
  }
  return ways;
}

void MakeFinalist(const PlanningInputs& inputs, PlanCandidate& candidate) {
  const StepPrediction predicted = PredictStep(inputs, candidate.plan);
  const double moving = MovingSeconds(inputs, candidate.plan.placements.homes);
  candidate.seconds = predicted.seconds + moving;
  candidate.p90_seconds = predicted.p90_seconds;
  if (candidate.p90_seconds.has_value()) *candidate.p90_seconds += moving;
  candidate.finalist = true;
}

// Adds a candidate for each way, the fastest of them, if any, planned in full.
absl::Status AddKind(const PlanningInputs& inputs, const std::string& policy, int64_t epoch,
                     const std::vector<Way>& ways, std::vector<PlanCandidate>& candidates) {
  const size_t first = candidates.size();
  for (const Way& way : ways) {
    WEFT_ASSIGN_OR_RETURN(Plan plan, PlanUnder(inputs, kQuickPolicy, epoch, way.placements));
    const double seconds = plan.predicted_seconds + MovingSeconds(inputs, way.placements.homes);
    candidates.push_back({way.experts, std::move(plan), seconds});
  }
  if (ways.empty()) return absl::OkStatus();
  const auto fastest = std::min_element(
      candidates.begin() + static_cast<std::ptrdiff_t>(first), candidates.end(),
      [](const PlanCandidate& a, const PlanCandidate& b) { return a.seconds < b.seconds; });
  WEFT_ASSIGN_OR_RETURN(fastest->plan,
                        PlanUnder(inputs, policy, epoch, Placements(fastest->plan.placements)));
  MakeFinalist(inputs, *fastest);
  return absl::OkStatus();
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

const CostModel& PlanningInputs::CostsUnder(int32_t sm_limit) const {
  const auto found = limited_costs.find(sm_limit);
  return found == limited_costs.end() ? *costs : *found->second;
}

StepPrediction PredictStep(const PlanningInputs& inputs, const Plan& plan) {
  const CostModel& costs = inputs.CostsUnder(plan.sm_limit);
  std::vector<double> seconds;
  if (inputs.loads != nullptr) {
    Plan placed = plan;
    for (LoadedStep& step : inputs.loads->ApplyEach(*inputs.graph, plan.placements)) {
      placed.placements = std::move(step.placements);
      seconds.push_back(Simulate(step.graph, placed, costs).seconds);
    }
  }
  if (seconds.empty()) {
    return {Simulate(GraphUnder(inputs, plan.placements), plan, costs).seconds, {}};
  }
  const double sum = std::accumulate(seconds.begin(), seconds.end(), 0.0);
  return {sum / static_cast<double>(seconds.size()), Quantile(seconds, 0.9)};
}

size_t BestOf(const std::vector<PlanCandidate>& candidates) {
  std::optional<double> least;
  for (const PlanCandidate& one : candidates) {
    if (one.finalist) least = std::min(least.value_or(one.seconds), one.seconds);
  }
  WEFT_CHECK(least.has_value(), "a search has a finalist");
  // Where no step was recorded one simulation says both.
  const auto key = [](const PlanCandidate& one) {
    return std::pair(one.p90_seconds.value_or(one.seconds), one.seconds);
  };
  size_t best = candidates.size();
  for (size_t i = 0; i < candidates.size(); ++i) {
    const PlanCandidate& one = candidates[i];
    if (!one.finalist || one.seconds > kAboutAsFast * *least) continue;
    if (best == candidates.size() || key(one) < key(candidates[best])) best = i;
  }
  return best;
}

absl::StatusOr<PlanSearch> SearchPlans(const PlanningInputs& inputs, const std::string& policy,
                                       int64_t epoch) {
  const std::string& where = inputs.options.expert_placement;
  const bool seen = inputs.loads != nullptr && !inputs.loads->empty();
  const bool places = where != "home" && policy == kSearchingPolicy && inputs.loads != nullptr &&
                      ExpertsCanMove(*inputs.graph);
  const bool sums_change = inputs.options.allow_reassociation;
  std::vector<Way> following, rebalancing, gathering;
  // Before anything was seen there is nothing to follow but an order to do so.
  if (places && (where == "follow" || (where == "auto" && seen))) following = WaysToFollow(inputs);
  if (places && seen && sums_change && (where == "rebalance" || where == "auto"))
    rebalancing = WaysToRebalance(inputs, /*follow=*/where == "auto");
  if (where == "auto" && policy == kSearchingPolicy && sums_change)
    gathering = WaysToGather(inputs);
  PlanSearch search;
  if (following.empty() || where != "follow") {
    Placements at_home;
    at_home.homes = inputs.homes;
    WEFT_ASSIGN_OR_RETURN(Plan home, PlanUnder(inputs, policy, epoch, at_home));
    MakeFinalist(inputs, search.candidates.emplace_back(PlanCandidate{"at home", std::move(home)}));
  }
  WEFT_RETURN_IF_ERROR(AddKind(inputs, policy, epoch, following, search.candidates));
  WEFT_RETURN_IF_ERROR(AddKind(inputs, policy, epoch, rebalancing, search.candidates));
  WEFT_RETURN_IF_ERROR(AddKind(inputs, policy, epoch, gathering, search.candidates));
  search.chosen = BestOf(search.candidates);
  if (policy != kSearchingPolicy || inputs.limited_costs.empty()) return search;
  const PlanCandidate best = search.best();
  for (const auto& [sm_limit, costs] : inputs.limited_costs) {
    WEFT_ASSIGN_OR_RETURN(
        Plan plan, PlanUnder(inputs, policy, epoch, Placements(best.plan.placements), sm_limit));
    MakeFinalist(inputs,
                 search.candidates.emplace_back(PlanCandidate{
                     absl::StrFormat("%s, %d SMs", best.experts, sm_limit), std::move(plan)}));
  }
  search.chosen = BestOf(search.candidates);
  return search;
}

absl::StatusOr<Plan> SearchPlan(const PlanningInputs& inputs, const std::string& policy,
                                int64_t epoch) {
  WEFT_ASSIGN_OR_RETURN(PlanSearch search, SearchPlans(inputs, policy, epoch));
  return std::move(search.candidates[search.chosen].plan);
}

}  // namespace weft
