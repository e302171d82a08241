// Experts that every token visits need no row of another rank: plans run them while rows travel.

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "models/build_step_graph.h"
#include "scheduler/planner.h"
#include "scheduler/simulate.h"

namespace weft {
namespace {

// An exchange takes as long as the shared experts, about.
class Costs final : public CostModel {
 public:
  CostEstimate Estimate(const CostKey& key, double size) const override {
    if (key.kind == OpKind::kDispatch || key.kind == OpKind::kCombine) return {1e-4};
    if (key.kind == OpKind::kSharedExpert || key.kind == OpKind::kSharedExpertWgrad) return {1e-4};
    return {key.kind == OpKind::kExpert ? 1e-12 * size : 1e-6};
  }
};

class SharedExpertsTest : public testing::TestWithParam<const char*> {
 protected:
  SharedExpertsTest() {
    ModelSpec spec;
    spec.num_layers = 2;
    spec.moe.shared_experts = 1;
    graph_ = BuildStepGraph(spec, {2, 2}, {1, 2, 1}, {4, 128, 1, 8}, StepKind::kTraining);
  }

  Plan Make() {
    PlanRequest request;
    request.graph = &graph_;
    request.costs = &costs_;
    request.policy = GetParam();
    absl::StatusOr<Plan> plan = MakePlan(request);
    EXPECT_TRUE(plan.ok()) << plan.status();
    return *std::move(plan);
  }

  // Seconds of a task that pass while an exchange of its layer runs.
  double BesideExchanges(const Plan& plan, const SimulatedStep& step, size_t task) const {
    double seconds = 0;
    const Op& op = graph_.op(plan.tasks[task].op);
    for (size_t t = 0; t < plan.tasks.size(); ++t) {
      const Op& other = graph_.op(plan.tasks[t].op);
      if (other.layer != op.layer || other.direction() != op.direction() ||
          (other.key.kind != OpKind::kDispatch && other.key.kind != OpKind::kCombine))
        continue;
      const double end =
          std::min(step.begin[task] + step.length[task], step.begin[t] + step.length[t]);
      seconds += std::max(0.0, end - std::max(step.begin[task], step.begin[t]));
    }
    return seconds;
  }

  StepGraph graph_;
  Costs costs_;
};

TEST_P(SharedExpertsTest, RunWhileRowsTravel) {
  const Plan plan = Make();
  const SimulatedStep step = Simulate(graph_, plan, costs_);
  double hidden = 0, whole = 0;
  for (size_t t = 0; t < plan.tasks.size(); ++t) {
    const OpKind kind = graph_.op(plan.tasks[t].op).key.kind;
    if (kind != OpKind::kSharedExpert && kind != OpKind::kSharedExpertWgrad) continue;
    hidden += BesideExchanges(plan, step, t);
    whole += step.length[t];
  }
  EXPECT_GT(whole, 0);
  if (std::string(GetParam()) == "sequential") {
    EXPECT_EQ(hidden, 0);
  } else {
    EXPECT_GT(hidden, 0.9 * whole);
  }
}

INSTANTIATE_TEST_SUITE_P(Policies, SharedExpertsTest,
                         testing::Values("sequential", "tutel", "fsmoe", "flowmoe", "weft"));

}  // namespace
}  // namespace weft
