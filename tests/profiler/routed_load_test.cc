#include "profiler/routed_load.h"

#include <gtest/gtest.h>

#include "tests/profiler/two_nodes.h"

namespace weft {
namespace {

class RoutedLoadTest : public testing::Test {
 protected:
  // A step in which rank r's dispatch carries rows[r], half a chunk; everything else as expected.
  void Record(const std::array<double, 4>& rows) {
    MergedStep step;
    for (const double size : rows) {
      std::vector<TaskInterval> tasks(TwoNodes::kNumTasks);
      for (int32_t i = 0; i < TwoNodes::kNumTasks; ++i) {
        tasks[static_cast<size_t>(i)].task = i;
        tasks[static_cast<size_t>(i)].size = 1000;
      }
      tasks[TwoNodes::kDispatch0].size = tasks[TwoNodes::kDispatch1].size = size / 2;
      tasks[TwoNodes::kAttention].size = 7;  // not routed: whatever it says
      step.by_rank.push_back(std::move(tasks));
    }
    load_.Record(nodes_.graph, nodes_.plan, step);
  }

  double Dispatch() const { return load_.Apply(nodes_.graph).ops[1].size; }

  TwoNodes nodes_;
  RoutedLoad load_{1};
};

TEST_F(RoutedLoadTest, ExpectsTheGraphUntilSomethingWasSeen) {
  EXPECT_EQ(FingerprintOf(load_.Apply(nodes_.graph)), FingerprintOf(nodes_.graph));
  EXPECT_DOUBLE_EQ(Dispatch(), 1000);
}

TEST_F(RoutedLoadTest, TheBusiestRankCountsAndOldStepsFade) {
  Record({100, 900, 1500, 0});
  EXPECT_DOUBLE_EQ(Dispatch(), 1500);
  Record({3000, 0, 0, 0});
  EXPECT_DOUBLE_EQ(Dispatch(), (1500 * 0.5 + 3000) / 1.5);
  for (int i = 0; i < 60; ++i) Record({0, 0, 0, 0});
  EXPECT_NEAR(Dispatch(), 0, 1e-9);  // nobody routes anything: ordinary
}

TEST_F(RoutedLoadTest, OnlyWhatTheRouterDecidesFollowsTheLoad) {
  Record({10, 20, 30, 40});
  const StepGraph loaded = load_.Apply(nodes_.graph);
  EXPECT_DOUBLE_EQ(loaded.ops[0].size, 1000);
  EXPECT_EQ(FingerprintOf(loaded), FingerprintOf(nodes_.graph));
}

TEST_F(RoutedLoadTest, WhatThePlanLeftOutCarriesAsMuchMore) {
  Op other = nodes_.graph.ops[1];
  nodes_.graph.ops[1].algorithms = Only(AllToAllAlgorithm::kDirect);
  other.algorithms = Only(AllToAllAlgorithm::kPipe);
  other.size = 400;
  other.id = OpId{static_cast<int32_t>(nodes_.graph.ops.size())};
  nodes_.graph.ops.push_back(other);
  Record({1500, 0, 0, 0});
  EXPECT_DOUBLE_EQ(Dispatch(), 1500);
  EXPECT_DOUBLE_EQ(load_.Apply(nodes_.graph).ops.back().size, 600);
}

}  // namespace
}  // namespace weft
