#include "runtime/workload_comparison.h"

#include <gtest/gtest.h>

namespace weft {
namespace {

WorkerOptions Options(const Layout& layout) {
  WorkerOptions options;
  options.model.moe.routing = Routing::kForced;
  options.model.num_layers = 2;
  options.layout = layout;
  options.topology = {layout.world_size(), layout.world_size()};
  options.batch = {16 / layout.world_size(), 128, 1, 16};
  options.seed = 3;
  return options;
}

TEST(WorkloadComparisonTest, TheFullestRankFollowsTheExpertsItHolds) {
  for (const Layout& layout :
       {Layout{1, 4, 1}, Layout{1, 2, 2}, Layout{2, 2, 1}, Layout{4, 1, 1}}) {
    EXPECT_EQ(FullestRank(Options(layout), Workload::kBalanced, 0), 1.0);
  }
  // No rows for the upper half of the experts.
  EXPECT_EQ(FullestRank(Options({1, 4, 1}), Workload::kZeroLoadRanks, 0), 2.0);
  EXPECT_EQ(FullestRank(Options({2, 2, 1}), Workload::kZeroLoadRanks, 0), 2.0);
  // Balanced over the whole batch, but not over the half that a copy of the experts serves: its
  // quarters go to the first and the last, or to the second and the third quarter of the experts.
  EXPECT_EQ(FullestRank(Options({1, 4, 1}), Workload::kRaggedSources, 0), 1.0);
  EXPECT_EQ(FullestRank(Options({2, 4, 1}), Workload::kRaggedSources, 0), 2.0);
  // Two hot experts of eight, with three quarters of the choices of top 2.
  EXPECT_NEAR(FullestRank(Options({1, 4, 1}), Workload::kHotRank, 0), 3.0, 0.15);
  EXPECT_NEAR(FullestRank(Options({1, 2, 1}), Workload::kHotRank, 0), 2 * (0.75 + 0.25 / 3), 0.1);
  EXPECT_NEAR(FullestRank(Options({1, 2, 1}), Workload::kSpreadHotExperts, 0), 1.0, 0.1);
  // Of one expert a rank, the hot rank has half as much.
  EXPECT_NEAR(FullestRank(Options({1, 8, 1}), Workload::kHotRank, 0), 3.0, 0.2);
}

TEST(WorkloadComparisonTest, OneSlowRoundCountsLittleAndOneSlowStepCounts) {
  std::vector<ComparedWorkload> workloads(2);
  workloads[0].rounds = {{1, 1}, {1, 1}, {50, 50}};
  workloads[1].rounds = {{1, 4}, {1, 4}, {60, 65}};  // every second step is a burst
  Judge(workloads);
  EXPECT_EQ(workloads[0].step_seconds, 1);
  EXPECT_EQ(workloads[0].slowdown, 1);
  EXPECT_EQ(workloads[1].step_seconds, 2.5);
  EXPECT_EQ(workloads[1].slowdown, 2.5);
  EXPECT_EQ(workloads[1].slowdown_low, 1.25);
  EXPECT_EQ(workloads[1].slowdown_high, 2.5);
}

}  // namespace
}  // namespace weft
