#include "runtime/replanner.h"

#include "base/status_macros.h"
#include "runtime/plan_request.h"
#include "scheduler/analytic_cost_model.h"
#include "scheduler/explain.h"
#include "scheduler/simulate.h"

namespace weft {
namespace {

std::shared_ptr<const CostModel> CostsOf(const ProfileTable& table) {
  // One sample is better than a guess: the optimizer has one size.
  return std::make_shared<MeasuredCostModel>(table,
                                             std::make_shared<AnalyticCostModel>(MachineSpeeds{}),
                                             /*min_samples=*/1);
}

}  // namespace

Replanner::Replanner(std::shared_ptr<const StepGraph> graph, const TuningOptions& options,
                     const ProfileTable& calibration)
    : graph_(std::move(graph)),
      options_(options),
      online_(calibration),
      loaded_(graph_),
      table_(calibration),
      costs_(CostsOf(table_)) {}

PlanRequest Replanner::Request(const std::string& policy, int64_t epoch) const {
  PlanRequest request = PlanRequestOf(options_, policy);
  request.graph = loaded_.get();
  request.costs = costs_.get();
  request.epoch = epoch;
  return request;
}

absl::StatusOr<Plan> Replanner::MakePlan(const std::string& policy, int64_t epoch) const {
  return weft::MakePlan(Request(policy, epoch));
}

absl::StatusOr<std::string> Replanner::Explain(const Plan& plan) const {
  return weft::Explain(Request(plan.policy, plan.epoch), plan);
}

double Replanner::Predict(const Plan& plan) const {
  return Simulate(*loaded_, plan, *costs_).seconds;
}

void Replanner::Record(const Plan& plan, const MergedStep& step) {
  online_.Record(step.step, step.samples);
  load_.Record(*graph_, plan, step);
}

std::array<double, kNumStreams> Replanner::BusySeconds(const Plan& plan) const {
  return AloneSeconds(*loaded_, plan, *costs_);
}

void Replanner::Refresh() {
  table_ = online_.Refresh();
  loaded_ = std::make_shared<const StepGraph>(load_.Apply(*graph_));
  costs_ = CostsOf(table_);
}

PlanningSnapshot Replanner::Snapshot(std::shared_ptr<const Plan> current,
                                     const ReplanTerms& terms) const {
  return {loaded_, costs_, options_, std::move(current), terms};
}

absl::StatusOr<ReplanOutcome> PlanAnew(const PlanningSnapshot& snapshot) {
  PlanRequest request = PlanRequestOf(snapshot.options, snapshot.options.policy);
  request.graph = snapshot.graph.get();
  request.costs = snapshot.costs.get();
  request.epoch = snapshot.current->epoch + 1;
  WEFT_ASSIGN_OR_RETURN(Plan candidate, MakePlan(request));
  ReplanOutcome outcome;
  outcome.decision =
      Decide(*snapshot.graph, *snapshot.costs, *snapshot.current, candidate, snapshot.terms);
  if (outcome.decision.replace) outcome.plan = std::move(candidate);
  return outcome;
}

}  // namespace weft
