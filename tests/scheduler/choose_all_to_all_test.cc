// Where an EP group spans nodes, the planner chooses how its all-to-alls are done.

#include <gtest/gtest.h>

#include <memory>

#include "models/build_step_graph.h"
#include "scheduler/explain.h"
#include "scheduler/planner.h"
#include "scheduler/simulate.h"

namespace weft {
namespace {

using enum AllToAllAlgorithm;

// Seconds by group: alpha and seconds a byte; everything else is free but for the experts.
class Links final : public CostModel {
 public:
  double node_alpha = 1e-5, node_beta = 1e-9;      // inside a node
  double across_alpha = 1e-5, across_beta = 1e-8;  // between nodes, to all members elsewhere
  double group_alpha = 1e-5, group_beta = 1e-8;    // to all members, over the slow link
  double peers_alpha = 1e-5, peers_beta = 1e-8;    // to those at the same place

  CostEstimate Estimate(const CostKey& key, double size) const override {
    switch (key.group) {
      case GroupKind::kEpNode:
        return {node_alpha + node_beta * size};
      case GroupKind::kEpAcross:
        return {across_alpha + across_beta * size};
      case GroupKind::kEpPeers:
        return {peers_alpha + peers_beta * size};
      case GroupKind::kEp:
        return {group_alpha + group_beta * size};
      default:
        return {key.kind == OpKind::kExpert ? 1e-11 * size : 1e-6};
    }
  }
};

class ChooseAllToAllTest : public testing::Test {
 protected:
  ChooseAllToAllTest() {
    ModelSpec spec;
    spec.num_layers = 2;
    spec.moe.num_experts = 8;
    const Topology topology = {8, 4};
    graph_ = BuildStepGraph(spec, topology, {1, 8, 1}, {4, 128, 1, 32}, StepKind::kTraining);
    request_.graph = &graph_;
    request_.costs = &links_;
  }

  Plan Make() {
    const absl::StatusOr<Plan> plan = MakePlan(request_);
    EXPECT_TRUE(plan.ok()) << plan.status();
    EXPECT_NEAR(Simulate(graph_, *plan, links_).seconds, plan->predicted_seconds, 1e-12);
    return *plan;
  }

  void ExpectAll(const Plan& plan, AllToAllAlgorithm algorithm) {
    for (int32_t layer = 0; layer < graph_.num_layers; ++layer)
      EXPECT_EQ(AlgorithmOf(plan, layer), algorithm) << Name(AlgorithmOf(plan, layer));
  }

  StepGraph graph_;
  Links links_;
  PlanRequest request_;
};

TEST_F(ChooseAllToAllTest, TwoLinksAtOnceWhenBothTakeTime) {
  links_.node_beta = 1e-8;
  ExpectAll(Make(), kPipe);
}

TEST_F(ChooseAllToAllTest, FewLargeMessagesWhenEachIsDear) {
  // Three members a message between nodes: 2dh sends one in place of four.
  links_.across_alpha = links_.group_alpha = 5e-3;
  ExpectAll(Make(), k2DH);
}

TEST_F(ChooseAllToAllTest, OneStepWhenANodeCostsMoreThanItSaves) {
  links_.node_alpha = 1e-2;
  ExpectAll(Make(), kDirect);
}

TEST_F(ChooseAllToAllTest, CandidatesAndPoliciesLimitTheChoice) {
  links_.node_beta = 1e-8;
  const double free = Make().predicted_seconds;
  request_.all_to_alls = {kDirect};
  const Plan direct = Make();
  ExpectAll(direct, kDirect);
  EXPECT_LT(free, direct.predicted_seconds);
  request_.all_to_alls.assign(kAllToAllAlgorithms.begin(), kAllToAllAlgorithms.end());
  for (const char* policy : {"sequential", "lina", "fsmoe", "flowmoe"}) {
    request_.policy = policy;
    ExpectAll(Make(), kDirect);
  }
  request_.policy = "tutel";
  links_.across_alpha = links_.group_alpha = 5e-3;
  ExpectAll(Make(), k2DH);
}

TEST_F(ChooseAllToAllTest, ThePlanSaysWhatItChose) {
  links_.node_beta = 1e-8;
  const Plan plan = Make();
  const absl::StatusOr<Plan> read = PlanFromJson(graph_, PlanToJson(graph_, plan));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, plan);
  const absl::StatusOr<std::string> explained = Explain(request_, plan);
  ASSERT_TRUE(explained.ok()) << explained.status();
  EXPECT_NE(explained->find("all-to-all pipe"), std::string::npos) << *explained;
}

}  // namespace
}  // namespace weft
