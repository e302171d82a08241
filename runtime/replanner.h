#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "graph/plan.h"
#include "graph/profile_table.h"
#include "graph/step_graph.h"
#include "profiler/instances.h"
#include "profiler/online_costs.h"
#include "profiler/routed_load.h"
#include "runtime/options.h"
#include "scheduler/measured_cost_model.h"
#include "scheduler/planner.h"
#include "scheduler/replan.h"

namespace weft {

// All that one planning needs. Nobody changes what it points to: it may be used on another thread
// while the job goes on.
struct PlanningSnapshot {
  std::shared_ptr<const StepGraph> graph;  // under the measured load
  std::shared_ptr<const CostModel> costs;
  TuningOptions options;
  std::shared_ptr<const Plan> current;
  ReplanTerms terms;
};

struct ReplanOutcome {
  ReplanDecision decision;
  std::optional<Plan> plan;  // set when the decision is to replace
};

// Looks for a plan that is worth switching to, as the epoch after the current plan's. Pure; how
// long it takes is bounded by the search's budget (PlanRequest::search_tasks).
absl::StatusOr<ReplanOutcome> PlanAnew(const PlanningSnapshot& snapshot);

// What rank 0 knows for planning: the costs, at first from the calibration, then refined by the
// spans of the running job, and the load. Makes the first plan and the plans to compare, and hands
// out snapshots for the others (plan_changes.h).
class Replanner {
 public:
  Replanner(std::shared_ptr<const StepGraph> graph, const TuningOptions& options,
            const ProfileTable& calibration);

  // With the newest costs.
  absl::StatusOr<Plan> MakePlan(const std::string& policy, int64_t epoch) const;
  absl::StatusOr<std::string> Explain(const Plan& plan) const;
  double Predict(const Plan& plan) const;
  // Seconds that each stream has to do, tasks alone, by StreamKind.
  std::array<double, kNumStreams> BusySeconds(const Plan& plan) const;
  const ProfileTable& costs_table() const { return table_; }

  // Samples and sizes of one step, which ran `plan`; they enter costs and load with Refresh.
  void Record(const Plan& plan, const MergedStep& step);
  void Refresh();

  // With the costs and the load of the last Refresh.
  PlanningSnapshot Snapshot(std::shared_ptr<const Plan> current, const ReplanTerms& terms) const;

 private:
  PlanRequest Request(const std::string& policy, int64_t epoch) const;

  std::shared_ptr<const StepGraph> graph_;
  TuningOptions options_;
  OnlineCosts online_;
  RoutedLoad load_;
  std::shared_ptr<const StepGraph> loaded_;  // under the measured load: planned and simulated
  ProfileTable table_;
  std::shared_ptr<const CostModel> costs_;
};

}  // namespace weft
