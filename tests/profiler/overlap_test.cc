#include "profiler/overlap.h"

#include <gtest/gtest.h>

#include "tests/profiler/two_nodes.h"

namespace weft {
namespace {

constexpr int64_t kMs = 1'000'000;

TaskInterval Compute(int64_t begin, int64_t end) {
  return {0, StreamKind::kCompute, LinkClass::kNone, begin * kMs, begin * kMs, end * kMs, 0};
}
TaskInterval Inter(int64_t begin, int64_t transfer, int64_t end) {
  return {1, StreamKind::kInter, LinkClass::kInterNode, begin * kMs, transfer * kMs, end * kMs, 0};
}
TaskInterval Intra(int64_t begin, int64_t transfer, int64_t end) {
  return {2, StreamKind::kIntra, LinkClass::kIntraNode, begin * kMs, transfer * kMs, end * kMs, 0};
}

TEST(Intervals, UnionMergesWhatOverlapsOrTouchesAndDropsWhatIsEmpty) {
  EXPECT_EQ(UnionOf({{5, 6}, {1, 3}, {2, 4}, {4, 5}, {9, 9}, {8, 7}, {10, 12}, {11, 11}}),
            (IntervalSet{{1, 6}, {10, 12}}));
  EXPECT_EQ(UnionOf({{0, 10}, {2, 3}}), (IntervalSet{{0, 10}}));
  EXPECT_TRUE(UnionOf({}).empty());
}

TEST(Intervals, Intersection) {
  const IntervalSet a = {{0, 10}, {20, 30}};
  const IntervalSet b = {{5, 22}, {23, 24}, {30, 40}};
  EXPECT_EQ(IntersectionOf(a, b), (IntervalSet{{5, 10}, {20, 22}, {23, 24}}));
  EXPECT_EQ(IntersectionOf(b, a), IntersectionOf(a, b));
  EXPECT_TRUE(IntersectionOf(a, {}).empty());
  EXPECT_EQ(LengthOf(IntersectionOf(a, b)), 8);
}

TEST(OverlapOf, NothingIsZero) { EXPECT_EQ(OverlapOf({}), StepOverlap{}); }

TEST(OverlapOf, SerialCommunicationIsAllExposed) {
  const std::vector<TaskInterval> tasks = {Compute(0, 10), Inter(10, 10, 14), Compute(14, 20)};
  const StepOverlap o = OverlapOf(tasks);
  EXPECT_DOUBLE_EQ(o.step, 20e-3);
  EXPECT_DOUBLE_EQ(o.compute, 16e-3);
  EXPECT_DOUBLE_EQ(o.idle_compute, 4e-3);
  EXPECT_DOUBLE_EQ(o.hidden, 0);
  EXPECT_DOUBLE_EQ(o.exposed, 4e-3);
  EXPECT_EQ(o.overlap_fraction(), 0);
}

TEST(OverlapOf, WaitsAreNeitherHiddenNorTransfer) {
  // The collective waits 4 ms beside compute, then transfers 6 ms, of which 2 ms beside compute.
  const std::vector<TaskInterval> tasks = {Compute(0, 6), Inter(0, 4, 10)};
  const StepOverlap o = OverlapOf(tasks);
  EXPECT_DOUBLE_EQ(o.inter_transfer, 6e-3);
  EXPECT_DOUBLE_EQ(o.inter_transfer_hidden, 2e-3);
  EXPECT_NEAR(o.overlap_fraction(), 2.0 / 6.0, 1e-12);
  EXPECT_DOUBLE_EQ(o.hidden, 2e-3);
  EXPECT_DOUBLE_EQ(o.exposed, 4e-3);
  EXPECT_DOUBLE_EQ(o.wait[static_cast<size_t>(StreamKind::kInter)], 4e-3);
  EXPECT_DOUBLE_EQ(o.busy[static_cast<size_t>(StreamKind::kInter)], 10e-3);
  EXPECT_DOUBLE_EQ(o.busy[static_cast<size_t>(StreamKind::kCompute)], 6e-3);
}

TEST(OverlapOf, OnlyLinksBetweenNodesCountForTheFraction) {
  // Intra-node transfer 0..8 is hidden whole, the inter-node one only for 8..9; both run beside
  // each other at 6..8.
  const std::vector<TaskInterval> tasks = {Compute(0, 6), Compute(6, 9), Intra(0, 0, 8),
                                           Inter(6, 6, 12)};
  const StepOverlap o = OverlapOf(tasks);
  EXPECT_DOUBLE_EQ(o.inter_transfer, 6e-3);
  EXPECT_DOUBLE_EQ(o.inter_transfer_hidden, 3e-3);
  EXPECT_DOUBLE_EQ(o.overlap_fraction(), 0.5);
  EXPECT_DOUBLE_EQ(o.hidden, 9e-3);  // time, not the sum over streams
  EXPECT_DOUBLE_EQ(o.exposed, 3e-3);
  EXPECT_DOUBLE_EQ(o.idle_compute, 3e-3);
}

TEST(OverlapOf, TransfersOnTheComputeStreamHideNothing) {
  TaskInterval norm = Inter(0, 0, 4);
  norm.stream = StreamKind::kCompute;
  const std::vector<TaskInterval> tasks = {norm, Compute(4, 6)};
  const StepOverlap o = OverlapOf(tasks);
  EXPECT_DOUBLE_EQ(o.compute, 2e-3);
  EXPECT_DOUBLE_EQ(o.exposed, 4e-3);
  EXPECT_EQ(o.overlap_fraction(), 0);
}

TEST(OverlapOf, FromHandMadeSpansOfFourRanks) {
  const TwoNodes world;
  std::vector<Trace> spans = world.Even();
  // Rank 0 dispatches chunk 1 at 200..600 because rank 2 comes 300 late; its expert runs at
  // 500..600.
  spans[0][TwoNodes::kDispatch1] = world.MakeSpan(0, TwoNodes::kDispatch1, 200, 600);
  spans[0][TwoNodes::kExpert] = world.MakeSpan(0, TwoNodes::kExpert, 550, 650);
  const auto merged =
      MergeStep({world.graph, world.plan, world.topology, world.layout}, {TwoNodes::kStep, spans});
  ASSERT_TRUE(merged.ok()) << merged.status();
  const StepOverlap o = OverlapOf(merged->by_rank[0]);
  // Inter-node: chunk 0 at 100..200 exposed, chunk 1 at 500..600, hidden from 550.
  EXPECT_NEAR(o.inter_transfer, 200e-9, 1e-15);
  EXPECT_NEAR(o.inter_transfer_hidden, 50e-9, 1e-15);
  EXPECT_NEAR(o.overlap_fraction(), 0.25, 1e-9);
  EXPECT_NEAR(o.wait[static_cast<size_t>(StreamKind::kInter)], 300e-9, 1e-15);
}

TEST(MeanOverlap, WeighsTheFractionByTransferTime) {
  StepOverlap a;
  a.step = 2;
  a.inter_transfer = 3;
  a.inter_transfer_hidden = 3;
  a.busy[1] = 4;
  StepOverlap b;
  b.step = 4;
  b.inter_transfer = 1;
  const StepOverlap mean = MeanOverlap(std::vector<StepOverlap>{a, b});
  EXPECT_DOUBLE_EQ(mean.step, 3);
  EXPECT_DOUBLE_EQ(mean.busy[1], 2);
  EXPECT_DOUBLE_EQ(mean.overlap_fraction(), 0.75);
  EXPECT_EQ(MeanOverlap({}), StepOverlap{});
}

}  // namespace
}  // namespace weft
