#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>

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

// Rank 0's planning: the first plan from the calibration, then, from the spans of the running job,
// refined costs and now and then a better plan. Decides; who proposes and installs is the trainer.
class Replanner {
 public:
  Replanner(std::shared_ptr<const StepGraph> graph, const TuningOptions& options,
            const ProfileTable& calibration);

  // With the newest costs.
  absl::StatusOr<Plan> MakePlan(const std::string& policy, int64_t epoch) const;
  absl::StatusOr<std::string> Explain(const Plan& plan) const;
  double Predict(const Plan& plan) const;
  // Seconds that each stream is expected to be busy, by StreamKind.
  std::array<double, kNumStreams> BusySeconds(const Plan& plan) const;
  const ProfileTable& costs_table() const { return table_; }

  // Samples and sizes of one step, which ran `plan`; costs and load are refreshed by Consider and
  // Refresh.
  void Record(const Plan& plan, const MergedStep& step);
  void Refresh();

  struct Outcome {
    ReplanDecision decision;
    std::optional<Plan> plan;  // set when the decision is to replace
  };
  // Refreshes the costs and looks for a plan that is worth switching to.
  absl::StatusOr<Outcome> Consider(const Plan& current, const ReplanTerms& terms);

 private:
  PlanRequest Request(const std::string& policy, int64_t epoch) const;

  std::shared_ptr<const StepGraph> graph_;
  TuningOptions options_;
  OnlineCosts online_;
  RoutedLoad load_;
  StepGraph loaded_;  // *graph_ under the measured load: what is planned and simulated
  ProfileTable table_;
  std::unique_ptr<const CostModel> costs_;
};

}  // namespace weft
