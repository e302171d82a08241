#include "profiler/instances.h"

#include <gtest/gtest.h>

#include "tests/profiler/two_nodes.h"

namespace weft {
namespace {

class MergeStepTest : public testing::Test {
 protected:
  absl::StatusOr<MergedStep> Merge(const StepSpans& spans) const {
    return MergeStep({world.graph, world.plan, world.topology, world.layout}, spans);
  }

  const TwoNodes world;
};

TEST_F(MergeStepTest, OneSampleATaskOfComputeAndOneAnInstanceOfACollective) {
  const auto merged = Merge({TwoNodes::kStep, world.Even()});
  ASSERT_TRUE(merged.ok()) << merged.status();
  EXPECT_EQ(merged->step, TwoNodes::kStep);
  EXPECT_EQ(merged->epoch, 3);
  // attention, two dispatch chunks of 2 groups each, all-gather 2, expert
  EXPECT_EQ(merged->samples.size(), 1u + 4u + 2u + 1u);
  for (const KeyedSample& s : merged->samples) {
    EXPECT_NEAR(s.sample.seconds, 100e-9, 1e-15);
    EXPECT_EQ(s.sample.size, 1000);
    EXPECT_EQ(s.key, CalibrationKey(s.key));
  }
  ASSERT_EQ(merged->by_rank.size(), 4u);
  for (const auto& tasks : merged->by_rank) {
    ASSERT_EQ(tasks.size(), 5u);
    for (size_t t = 0; t < tasks.size(); ++t) {
      EXPECT_EQ(tasks[t].task, static_cast<int32_t>(t));
      EXPECT_EQ(tasks[t].wait_nanos(), 0);
    }
  }
  EXPECT_EQ(merged->unplanned_spans + merged->missing_spans + merged->incomplete_collectives, 0);
}

TEST_F(MergeStepTest, CollectivesAreFiledUnderTheLimitOfThePlan) {
  Plan limited = world.plan;
  limited.sm_limit = 8;
  const auto merged = MergeStep({world.graph, limited, world.topology, world.layout},
                                {TwoNodes::kStep, world.Even()});
  ASSERT_TRUE(merged.ok()) << merged.status();
  EXPECT_EQ(merged->sm_limit, 8);
  for (const KeyedSample& s : merged->samples)
    EXPECT_EQ(s.key.sm_limit, s.key.group == GroupKind::kNone ? 0 : 8) << ToString(s.key);
}

TEST_F(MergeStepTest, TheShortestMemberIsTheCostAndTheRestIsWait) {
  std::vector<Trace> spans = world.Even();
  // Group {0, 2}: rank 0 arrives 300 ns early; rank 2 carries more. Their clocks differ by 2 ms.
  spans[0][TwoNodes::kDispatch0] = world.MakeSpan(0, TwoNodes::kDispatch0, 100, 500, 10);
  spans[2][TwoNodes::kDispatch0] =
      world.MakeSpan(2, TwoNodes::kDispatch0, 2'000'400, 2'000'500, 30);
  const auto merged = Merge({TwoNodes::kStep, spans});
  ASSERT_TRUE(merged.ok()) << merged.status();

  const TaskInterval& early = merged->by_rank[0][TwoNodes::kDispatch0];
  EXPECT_EQ(early.begin_nanos, 100);
  EXPECT_EQ(early.transfer_nanos, 400);
  EXPECT_EQ(early.end_nanos, 500);
  EXPECT_EQ(early.wait_nanos(), 300);
  EXPECT_EQ(early.size, 10);
  EXPECT_EQ(early.stream, StreamKind::kInter);
  EXPECT_EQ(early.link, LinkClass::kInterNode);
  EXPECT_EQ(merged->by_rank[2][TwoNodes::kDispatch0].wait_nanos(), 0);

  // Samples are by task, then by group: attention, then group {0, 2} of the first chunk.
  const KeyedSample& sample = merged->samples[1];
  EXPECT_EQ(sample.key.kind, OpKind::kDispatch);
  EXPECT_EQ(sample.sample.size, 30);
  EXPECT_NEAR(sample.sample.seconds, 100e-9, 1e-15);
}

TEST_F(MergeStepTest, TheBusiestMemberIsTheSize) {
  std::vector<Trace> spans = world.Even();
  spans[0][TwoNodes::kDispatch0].size = 30;
  spans[2][TwoNodes::kDispatch0].size = 0;
  spans[0][TwoNodes::kDispatch1].size = 0;
  spans[2][TwoNodes::kDispatch1].size = 40;
  const auto merged = Merge({TwoNodes::kStep, spans});
  ASSERT_TRUE(merged.ok()) << merged.status();
  EXPECT_EQ(merged->samples[1].sample.size, 30);
  EXPECT_EQ(merged->samples[3].sample.size, 40);
}

TEST_F(MergeStepTest, TheSlowestRankIsTheCostOfCompute) {
  std::vector<Trace> spans = world.Even();
  spans[1][TwoNodes::kExpert] = world.MakeSpan(1, TwoNodes::kExpert, 2000, 2900, 5);
  const auto merged = Merge({TwoNodes::kStep, spans});
  ASSERT_TRUE(merged.ok()) << merged.status();
  EXPECT_EQ(merged->by_rank[1][TwoNodes::kExpert].wait_nanos(), 0);
  const KeyedSample& slow = merged->samples.back();
  EXPECT_EQ(slow.key.kind, OpKind::kExpert);
  EXPECT_NEAR(slow.sample.seconds, 900e-9, 1e-15);
  EXPECT_EQ(slow.sample.size, 5);
}

TEST_F(MergeStepTest, WhatRanBesideIsReadOffTheRankThatGaveTheSample) {
  std::vector<Trace> spans = world.Even();
  // Rank 1 is the slowest at the expert. Its gather waits until 450 (rank 0 arrives late), then
  // works beside the expert until 550; its second dispatch works from 300 to 420.
  const int64_t clock = 1'000'000;
  spans[1][TwoNodes::kExpert] = world.MakeSpan(1, TwoNodes::kExpert, clock + 400, clock + 600);
  spans[1][TwoNodes::kGather] = world.MakeSpan(1, TwoNodes::kGather, clock + 350, clock + 550);
  spans[0][TwoNodes::kGather] = world.MakeSpan(0, TwoNodes::kGather, 300, 400);
  spans[1][TwoNodes::kDispatch1] =
      world.MakeSpan(1, TwoNodes::kDispatch1, clock + 300, clock + 420);
  spans[3][TwoNodes::kDispatch1] =
      world.MakeSpan(3, TwoNodes::kDispatch1, 3 * clock, 3 * clock + 120);
  const auto merged = Merge({TwoNodes::kStep, spans});
  ASSERT_TRUE(merged.ok()) << merged.status();
  ASSERT_EQ(merged->samples.size(), 8u);

  const KeyedSample& expert = merged->samples[7];
  EXPECT_EQ(expert.stream, StreamKind::kCompute);
  EXPECT_NEAR(expert.sample.seconds, 200e-9, 1e-15);
  EXPECT_DOUBLE_EQ(expert.beside[0], 0) << "its own stream";
  EXPECT_DOUBLE_EQ(expert.beside[1], 0.5) << "[450, 550) of [400, 600): the wait is no work";
  EXPECT_DOUBLE_EQ(expert.beside[2], 0.1) << "[400, 420)";

  // Group {0, 1} of the gather: rank 0 was the last, and nothing ran beside it there.
  const KeyedSample& gather = merged->samples[5];
  EXPECT_EQ(gather.stream, StreamKind::kIntra);
  EXPECT_NEAR(gather.sample.seconds, 100e-9, 1e-15);
  EXPECT_EQ(gather.beside, (std::array<double, kNumStreams>{}));
}

TEST_F(MergeStepTest, ACollectiveWithAMissingMemberGivesNoSample) {
  std::vector<Trace> spans = world.Even();
  spans[3].erase(spans[3].begin() + TwoNodes::kDispatch1);
  const auto merged = Merge({TwoNodes::kStep, spans});
  ASSERT_TRUE(merged.ok()) << merged.status();
  EXPECT_EQ(merged->missing_spans, 1);
  EXPECT_EQ(merged->incomplete_collectives, 1);
  EXPECT_EQ(merged->samples.size(), 7u);
  EXPECT_EQ(merged->by_rank[1].size(), 5u);  // the other member is still shown
  EXPECT_EQ(merged->by_rank[3].size(), 4u);
}

TEST_F(MergeStepTest, CountsSpansWithoutAPlanEntry) {
  std::vector<Trace> spans = world.Even();
  Span other_step = world.MakeSpan(0, 0, 1, 2);
  other_step.step = TwoNodes::kStep + 1;
  Span other_epoch = world.MakeSpan(0, 0, 1, 2);
  other_epoch.epoch = 2;
  spans[0].insert(spans[0].begin(), {other_step, other_epoch});
  spans[1].push_back(world.MakeSpan(1, 99, 1, 2));  // no such task
  spans[1].push_back(world.MakeSpan(1, -1, 1, 2));
  spans[2].push_back(world.MakeSpan(3, 0, 1, 2));  // another rank's
  spans[2].push_back(world.MakeSpan(2, 0, 1, 2));  // a second one
  spans[3].push_back(world.MakeSpan(3, 0, 5, 4));  // ends before it begins
  const auto merged = Merge({TwoNodes::kStep, spans});
  ASSERT_TRUE(merged.ok()) << merged.status();
  EXPECT_EQ(merged->unplanned_spans, 7);
  EXPECT_EQ(merged->missing_spans, 0);
  EXPECT_EQ(merged->samples.size(), 8u);
}

TEST_F(MergeStepTest, GroupsOfOneNeitherWaitNorTravel) {
  const Topology topology{1, 1};
  const Layout layout{1, 1, 1};
  const Trace spans = world.Even()[0];
  const auto merged =
      MergeStep({world.graph, world.plan, topology, layout}, {TwoNodes::kStep, {spans}});
  ASSERT_TRUE(merged.ok()) << merged.status();
  EXPECT_EQ(merged->samples.size(), 5u);
  for (const TaskInterval& t : merged->by_rank[0]) {
    EXPECT_EQ(t.link, LinkClass::kNone);
    EXPECT_EQ(t.wait_nanos(), 0);
  }
}

TEST_F(MergeStepTest, RefusesAWrongNumberOfRanksAndAPlanOfAnotherGraph) {
  const auto few = Merge({TwoNodes::kStep, {Trace{}, Trace{}}});
  EXPECT_EQ(few.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(few.status().message().find("2 ranks"), absl::string_view::npos) << few.status();

  Plan plan = world.plan;
  plan.tasks[1].op = OpId{17};
  const auto foreign =
      MergeStep({world.graph, plan, world.topology, world.layout}, {TwoNodes::kStep, world.Even()});
  EXPECT_EQ(foreign.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(foreign.status().message().find("operation 17"), absl::string_view::npos);
}

}  // namespace
}  // namespace weft
