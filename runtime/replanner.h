#pragma once

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "graph/plan.h"
#include "graph/profile_table.h"
#include "graph/step_graph.h"
#include "profiler/instances.h"
#include "profiler/online_costs.h"
#include "runtime/expert_loads.h"
#include "runtime/options.h"
#include "runtime/plan_search.h"
#include "scheduler/measured_cost_model.h"
#include "scheduler/replan.h"

namespace weft {

// All that one planning needs. Nobody changes what it points to: it may be used on another thread
// while the job goes on.
struct PlanningSnapshot {
  PlanningInputs inputs;
  std::shared_ptr<const Plan> current;
  ReplanTerms terms;
};

struct ReplanOutcome {
  ReplanDecision decision;
  std::optional<Plan> plan;  // set when the decision is to replace
  PlanSearch search;         // that it came from
};

// Looks for a plan that is worth switching to, as the epoch after the current plan's. Pure; how
// long it takes is bounded by the search's budget (PlanRequest::search_tasks).
absl::StatusOr<ReplanOutcome> PlanAnew(const PlanningSnapshot& snapshot);

// What rank 0 knows for planning: the costs, at first from the calibration, then refined by the
// spans of the running job, and the load. Makes the first plan and the plans to compare, and hands
// out snapshots for the others (plan_changes.h).
class Replanner {
 public:
  // `shape`: what the graph was built from; without it the load is taken to be the expected one.
  Replanner(std::shared_ptr<const StepGraph> graph, const TuningOptions& options,
            const ProfileTable& calibration, const std::optional<StepShape>& shape);

  // With the newest costs.
  absl::StatusOr<PlanSearch> Search(const std::string& policy, int64_t epoch) const;
  // The same to compare policies with: what baselines stand for leaves experts where the
  // configuration says, and only weft's live where they do.
  absl::StatusOr<Plan> MakePlan(const std::string& policy, int64_t epoch) const;
  // What a trial should try (plan_trial.h): the plan of `policy`; if that is weft, also the best of
  // every other kind (experts at home, following the load, gathering shards), the one that weft
  // would make if streams cost one another nothing, which overlaps more, and the fastest plans of
  // the other policies. In this order, those predicted to take at most a tenth longer, `most` in
  // all, with different tasks, their epochs from `epoch` on.
  struct Contest {
    std::vector<Plan> plans;
    PlanSearch search;  // that found the first
  };
  absl::StatusOr<Contest> Rivals(const std::string& policy, int64_t epoch, size_t most) const;
  absl::StatusOr<std::string> Explain(const Plan& plan) const;
  // Over the loads of the last steps (PredictStep), and their mean alone.
  StepPrediction PredictSteps(const Plan& plan) const;
  double Predict(const Plan& plan) const { return PredictSteps(plan).seconds; }
  // Seconds that each stream has to do, tasks alone, by StreamKind.
  std::array<double, kNumStreams> BusySeconds(const Plan& plan) const;
  // Seconds that no order of the plan's tasks could undercut, alone (scheduler/lower_bound.h).
  double OrderBound(const Plan& plan) const;
  const ProfileTable& costs_table() const { return table_; }

  // Samples of one step, and of every step its rows ([world][layers with experts][experts]); they
  // enter costs and load with Refresh.
  void Record(const MergedStep& step);
  void RecordRows(std::span<const int32_t> counts);
  // Where experts live from now on.
  void Live(std::vector<HomeChoice> homes) { inputs_.homes = std::move(homes); }
  double fullness() const;  // ExpertLoads::Fullness; 1 when the load is not followed
  void Refresh();

  // With the costs and the load of the last Refresh.
  PlanningSnapshot Snapshot(std::shared_ptr<const Plan> current, const ReplanTerms& terms) const;

 private:
  OnlineCosts online_;
  ProfileTable table_;
  std::optional<ExpertLoads> loads_;
  PlanningInputs inputs_;  // as of the last Refresh
};

}  // namespace weft
