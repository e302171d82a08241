#include "runtime/replanner.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/units.h"
#include "runtime/explain_placement.h"
#include "runtime/plan_request.h"
#include "scheduler/analytic_cost_model.h"
#include "scheduler/explain.h"
#include "scheduler/policies.h"
#include "scheduler/simulate.h"

namespace weft {
namespace {

// Times the favourite's predicted step: how much slower a plan may be predicted to be tried.
constexpr double kRivalSeconds = 1.1;

std::shared_ptr<const CostModel> CostsOf(const ProfileTable& table, int32_t sm_limit) {
  // One sample is better than a guess: the optimizer has one size.
  return std::make_shared<MeasuredCostModel>(table,
                                             std::make_shared<AnalyticCostModel>(MachineSpeeds{}),
                                             /*min_samples=*/1, sm_limit);
}

void ReckonWith(const ProfileTable& table, PlanningInputs& inputs) {
  inputs.costs = CostsOf(table, 0);
  inputs.limited_costs.clear();
  for (const auto& [sm_limit, contention] : table.limited_contention)
    inputs.limited_costs[sm_limit] = CostsOf(table, sm_limit);
}

// One line; nothing where no step was recorded.
std::string ExplainSteps(const StepPrediction& predicted) {
  if (!predicted.p90_seconds.has_value()) return "";
  return absl::StrCat("over the loads of the last steps, each simulated by itself: ",
                      FormatSeconds(predicted.seconds), " in the mean, ",
                      FormatSeconds(*predicted.p90_seconds),
                      " at the 90th percentile; all above is for their mean sizes\n");
}

}  // namespace

Replanner::Replanner(std::shared_ptr<const StepGraph> graph, const TuningOptions& options,
                     const ProfileTable& calibration, const std::optional<StepShape>& shape)
    : online_(calibration), table_(calibration) {
  inputs_.graph = std::move(graph);
  inputs_.options = options;
  ReckonWith(table_, inputs_);
  if (!shape.has_value()) return;
  loads_.emplace(*shape);
  inputs_.loads = std::make_shared<const ExpertLoads>(*loads_);
  inputs_.rows = static_cast<double>(shape->batch.tokens() * shape->model.moe.top_k);
  inputs_.arrived_rows = inputs_.rows * shape->layout.esp;
}

absl::StatusOr<PlanSearch> Replanner::Search(const std::string& policy, int64_t epoch) const {
  return SearchPlans(inputs_, policy, epoch);
}

absl::StatusOr<Plan> Replanner::MakePlan(const std::string& policy, int64_t epoch) const {
  PlanningInputs inputs = inputs_;
  if (policy != "weft") inputs.homes.clear();
  return SearchPlan(inputs, policy, epoch);
}

absl::StatusOr<Replanner::Contest> Replanner::Rivals(const std::string& policy, int64_t epoch,
                                                     size_t most) const {
  Contest contest;
  WEFT_ASSIGN_OR_RETURN(contest.search, Search(policy, epoch));
  std::vector<Plan>& rivals = contest.plans;
  rivals.push_back(contest.search.plan());
  if (policy != "weft") return contest;
  const double limit = kRivalSeconds * contest.search.best().seconds;
  ProfileTable undisturbed = table_;
  undisturbed.contention = {};
  undisturbed.limited_contention.clear();
  PlanningInputs bold = inputs_;
  ReckonWith(undisturbed, bold);
  const auto faster = [](const PlanCandidate& a, const PlanCandidate& b) {
    return a.seconds < b.seconds;
  };
  std::vector<PlanCandidate> others;
  for (size_t i = 0; i < contest.search.candidates.size(); ++i) {
    const PlanCandidate& candidate = contest.search.candidates[i];
    if (candidate.finalist && i != contest.search.chosen) others.push_back(candidate);
  }
  std::stable_sort(others.begin(), others.end(), faster);
  // The bold one comes before policies: nothing is lost where streams are in nobody's way.
  WEFT_ASSIGN_OR_RETURN(const PlanSearch bolder, SearchPlans(bold, policy, epoch));
  others.push_back(bolder.best());
  const auto policies = static_cast<std::ptrdiff_t>(others.size());
  for (const std::string& other : PolicyNames()) {
    if (other == policy) continue;
    WEFT_ASSIGN_OR_RETURN(const PlanSearch search, Search(other, epoch));
    others.push_back(search.best());
  }
  std::stable_sort(others.begin() + policies, others.end(), faster);
  for (PlanCandidate& other : others) {
    if (rivals.size() == most) break;
    if (other.seconds > limit) continue;
    const bool known = std::any_of(rivals.begin(), rivals.end(),
                                   [&](const Plan& rival) { return SameTasks(rival, other.plan); });
    if (known) continue;
    other.plan.epoch = epoch + static_cast<int64_t>(rivals.size());
    rivals.push_back(std::move(other.plan));
  }
  return contest;
}

absl::StatusOr<std::string> Replanner::Explain(const Plan& plan) const {
  const StepGraph graph = GraphUnder(inputs_, plan.placements);
  PlanRequest request = PlanRequestOf(inputs_.options, plan.policy);
  request.graph = &graph;
  request.costs = &inputs_.CostsUnder(plan.sm_limit);
  request.epoch = plan.epoch;
  WEFT_ASSIGN_OR_RETURN(const std::string text, weft::Explain(request, plan));
  return absl::StrCat(text, ExplainSteps(PredictSteps(plan)),
                      ExplainPlacement(plan, *inputs_.graph, GraphUnder(inputs_, {}), graph));
}

StepPrediction Replanner::PredictSteps(const Plan& plan) const {
  return PredictStep(inputs_, plan);
}

void Replanner::Record(const MergedStep& step) {
  online_.Record(step.step, step.samples, step.sm_limit);
}

void Replanner::RecordRows(std::span<const int32_t> counts) {
  if (loads_.has_value()) loads_->Record(counts);
}

double Replanner::fullness() const { return loads_.has_value() ? loads_->Fullness() : 1; }

std::array<double, kNumStreams> Replanner::BusySeconds(const Plan& plan) const {
  return AloneSeconds(GraphUnder(inputs_, plan.placements), plan,
                      inputs_.CostsUnder(plan.sm_limit));
}

double Replanner::OrderBound(const Plan& plan) const {
  return LowerBoundOf(GraphUnder(inputs_, plan.placements), plan,
                      inputs_.CostsUnder(plan.sm_limit));
}

void Replanner::Refresh() {
  table_ = online_.Refresh();
  ReckonWith(table_, inputs_);
  if (loads_.has_value()) inputs_.loads = std::make_shared<const ExpertLoads>(*loads_);
}

PlanningSnapshot Replanner::Snapshot(std::shared_ptr<const Plan> current,
                                     const ReplanTerms& terms) const {
  return {inputs_, std::move(current), terms};
}

absl::StatusOr<ReplanOutcome> PlanAnew(const PlanningSnapshot& snapshot) {
  const PlanningInputs& inputs = snapshot.inputs;
  const Plan& current = *snapshot.current;
  ReplanOutcome outcome;
  WEFT_ASSIGN_OR_RETURN(outcome.search,
                        SearchPlans(inputs, inputs.options.policy, current.epoch + 1));
  const PlanCandidate& best = outcome.search.best();
  outcome.decision = Decide({current, PredictStep(inputs, current).seconds},
                            {best.plan, best.seconds}, snapshot.terms);
  if (outcome.decision.replace) outcome.plan = best.plan;
  return outcome;
}

}  // namespace weft
