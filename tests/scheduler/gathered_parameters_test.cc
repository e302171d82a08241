// Plans of steps that begin with gathers of parameters (ZeRO-1).

#include <gtest/gtest.h>

#include "models/build_step_graph.h"
#include "scheduler/analytic_cost_model.h"
#include "scheduler/planner.h"
#include "scheduler/policies.h"

namespace weft {
namespace {

class GatheredParametersTest : public testing::TestWithParam<std::string> {
 protected:
  void PlanFor(const Layout& layout) {
    ModelSpec spec;
    spec.num_layers = 4;
    spec.hidden_size = 256;
    spec.ffn_hidden_size = 512;
    spec.moe.num_experts = 8;
    graph_ = BuildStepGraph(spec, {8, 4}, layout, {4, 256, 1, 32}, StepKind::kTraining);
    PlanRequest request;
    request.graph = &graph_;
    request.costs = &costs_;
    request.policy = GetParam();
    const auto plan = MakePlan(request);
    ASSERT_TRUE(plan.ok()) << plan.status();
    plan_ = *plan;
    ASSERT_TRUE(ValidatePlan(graph_, plan_).ok()) << ValidatePlan(graph_, plan_);
  }

  StepGraph graph_;
  AnalyticCostModel costs_{MachineSpeeds{}};
  Plan plan_;
};

TEST_P(GatheredParametersTest, AreThereBeforeTheLayerAndNotPutBehindIt) {
  PlanFor({1, 8, 1, 1, 1});
  std::vector<double> attention(4, 0), gathered(4, 0);
  double last_gather = 0, first_backward = plan_.predicted_seconds;
  for (const PlanTask& task : plan_.tasks) {
    const Op& op = graph_.op(task.op);
    const double end = task.predicted_begin + task.predicted_seconds;
    if (op.direction() == Direction::kBackward)
      first_backward = std::min(first_backward, task.predicted_begin);
    if (op.direction() != Direction::kForward || op.layer < 0) continue;
    const auto layer = static_cast<size_t>(op.layer);
    if (op.key.kind == OpKind::kAttention && task.chunk == 0)
      attention[layer] = task.predicted_begin;
    if (op.cut != Cut::kSlices) continue;
    gathered[layer] = std::max(gathered[layer], end);
    last_gather = std::max(last_gather, end);
  }
  for (size_t layer = 0; layer < 4; ++layer) {
    EXPECT_GT(gathered[layer], 0);
    EXPECT_LE(gathered[layer], attention[layer] + 1e-12) << "layer " << layer;
  }
  EXPECT_LE(last_gather, first_backward);
  // One layer ahead: with communication beside computation the gather is over before the layer's
  // turn has come.
  if (plan_.streams == 1) return;
  for (size_t layer = 2; layer < 4; ++layer)
    EXPECT_LT(gathered[layer], attention[layer]) << "layer " << layer;
}

// Experts' parameters have until the layer's experts.
TEST_P(GatheredParametersTest, OfExpertsAreThereBeforeTheExpertsAndNotPutBehindThem) {
  PlanFor({2, 4, 1, 1, 1});
  std::vector<double> experts(4, plan_.predicted_seconds), gathered(4, 0);
  for (const PlanTask& task : plan_.tasks) {
    const Op& op = graph_.op(task.op);
    const auto layer = static_cast<size_t>(op.layer);
    if (op.key.kind == OpKind::kExpertParamAllGather)
      gathered[layer] = std::max(gathered[layer], task.predicted_begin + task.predicted_seconds);
    if (op.key.kind == OpKind::kExpert && op.direction() == Direction::kForward)
      experts[layer] = std::min(experts[layer], task.predicted_begin);
  }
  for (size_t layer = 0; layer < 4; ++layer) {
    EXPECT_GT(gathered[layer], 0);
    EXPECT_LE(gathered[layer], experts[layer] + 1e-12) << "layer " << layer;
  }
}

INSTANTIATE_TEST_SUITE_P(Policies, GatheredParametersTest, testing::ValuesIn(PolicyNames()),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace weft
