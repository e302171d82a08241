#include "simulation/cluster.h"

#include <gtest/gtest.h>

#include "tests/simulation/testbed_a.h"

namespace weft {
namespace {

CostKey KeyOf(OpKind kind, GroupKind group, int32_t size, LinkClass link) {
  CostKey key;
  key.kind = kind;
  key.group = group;
  key.group_size = size;
  key.link = link;
  return key;
}

TEST(ClusterTest, AMeasuredCollectiveAnswersForEveryGroupSizeByItsBytes) {
  const ClusterCostModel costs(TestbedA(), ProductCounts{});
  constexpr double kElements = 1e6;
  const double measured = .28745790958e-3 + kElements * 2.3201445211e-9;
  const CostKey six = KeyOf(OpKind::kCombine, GroupKind::kEp, 6, LinkClass::kInterNode);
  EXPECT_DOUBLE_EQ(costs.Estimate(six, 4 * kElements * 5 / 6).seconds, measured);
  // Two ranks send half of the buffer, six send 5/6 of it.
  const CostKey two = KeyOf(OpKind::kDispatch, GroupKind::kEp, 2, LinkClass::kInterNode);
  EXPECT_DOUBLE_EQ(costs.Estimate(two, 4 * kElements / 2).seconds,
                   .28745790958e-3 + kElements * 2.3201445211e-9 * (1.0 / 2) / (5.0 / 6));
  const CostKey reduce = KeyOf(OpKind::kGradAllReduce, GroupKind::kInter, 6, LinkClass::kInterNode);
  EXPECT_DOUBLE_EQ(costs.Estimate(reduce, 2 * 4 * kElements * 5 / 6).seconds,
                   .51136532051e-3 + kElements * 4.9511764052e-9);
}

TEST(ClusterTest, WhatWasNotMeasuredComesFromTheLinks) {
  Cluster cluster = TestbedA();
  cluster.speeds.intra = {10e-6, 1e9};
  cluster.speeds.inter = {30e-6, 1e8};
  const ClusterCostModel costs(cluster, ProductCounts{});
  // An all-to-all inside a node: the measured one is between nodes.
  const CostKey inside = KeyOf(OpKind::kDispatch, GroupKind::kEp, 4, LinkClass::kIntraNode);
  EXPECT_DOUBLE_EQ(costs.Estimate(inside, 1e6).seconds, 10e-6 + 1e-3);
  EXPECT_FALSE(costs.Estimate(inside, 1e6).measured);
  const CostKey across =
      KeyOf(OpKind::kStepReduction, GroupKind::kWorld, 48, LinkClass::kInterNode);
  EXPECT_DOUBLE_EQ(costs.Estimate(across, 1e6).seconds, 30e-6 + 1e-2);
}

TEST(ClusterTest, ProductsPayAlphaForEachStart) {
  ProductCounts products;
  products.expert = 3;
  products.expert_backward = 6;
  const ClusterCostModel costs(TestbedA(), products);
  CostKey key;
  key.kind = OpKind::kExpert;
  key.direction = Direction::kForward;
  EXPECT_DOUBLE_EQ(costs.Estimate(key, 2e9).seconds, 3 * 4.26e-5 + 1e9 * 9.16e-14);
  key.direction = Direction::kBackward;
  EXPECT_DOUBLE_EQ(costs.Estimate(key, 2e9).seconds, 6 * 4.26e-5 + 1e9 * 9.16e-14);
}

TEST(ClusterTest, BadClustersAreOneClearSentence) {
  Cluster cluster = TestbedA();
  cluster.topology = {6, 4};
  EXPECT_EQ(ValidateCluster(cluster).code(), absl::StatusCode::kInvalidArgument);
  cluster = TestbedA();
  cluster.speeds.inter.bandwidth = 0;
  EXPECT_NE(ValidateCluster(cluster).message().find("bandwidth"), std::string::npos);
  cluster = TestbedA();
  cluster.all_gather->group_size = 1;
  EXPECT_NE(ValidateCluster(cluster).message().find("at least 2"), std::string::npos);
}

}  // namespace
}  // namespace weft
