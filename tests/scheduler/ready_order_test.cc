#include "scheduler/ready_order.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/random.h"
#include "scheduler/layer.h"

namespace weft {
namespace {

LayerTimes RandomTimes(const CounterRng& random, uint64_t& draw) {
  const auto time = [&] { return std::pow(10, 2 * random.Uniform(draw++) - 1); };
  LayerTimes times{time(), time(), time(), 0, 0};
  times.s = times.g;
  times.gamma = random.Bits(draw++) % 2 == 0 ? 0 : 4 * time();
  return times;
}

TEST(ReadyOrderTest, NeverSlowerWhenGatherAndScatterCostTheSame) {
  const CounterRng random(1, "ready_order");
  uint64_t draw = 0;
  int faster = 0;
  for (int i = 0; i < 10'000; ++i) {
    const LayerTimes times = RandomTimes(random, draw);
    const int32_t r = 1 + static_cast<int32_t>(random.Bits(draw++) % 8);
    const double in_order =
        SimulateLayer(StagesOf(times), times.gamma, r, LayerOrder::kGathersFirst).seconds;
    const double ready =
        SimulateLayer(StagesOf(times), times.gamma, r, LayerOrder::kReadyFirst).seconds;
    ASSERT_LE(ready, in_order * (1 + 1e-12)) << i;
    faster += ready < in_order * (1 - 1e-6);
  }
  EXPECT_GT(faster, 500);
}

// D1 D2 end at 4 and 8; E1 ends at 6: RS1 goes before AG2, and C1 starts 2 s earlier than behind
// all gathers.
TEST(ReadyOrderTest, ScattersGoAheadOfGathersThatAreNotThereYet) {
  const LayerTimes times{4, 1, 1, 1, 0};
  const LayerSimulation simulation = SimulateLayer(StagesOf(times), 0, 2, LayerOrder::kReadyFirst);
  std::vector<std::pair<OpKind, int32_t>> intra;
  for (const LayerTask& task : simulation.tasks) {
    if (task.stream == StreamKind::kIntra) intra.emplace_back(task.kind, task.chunk);
  }
  EXPECT_EQ(intra, (std::vector<std::pair<OpKind, int32_t>>{{OpKind::kEspAllGather, 0},
                                                            {OpKind::kEspReduceScatter, 0},
                                                            {OpKind::kEspAllGather, 1},
                                                            {OpKind::kEspReduceScatter, 1}}));
  EXPECT_DOUBLE_EQ(simulation.seconds, 16);
  EXPECT_DOUBLE_EQ(SimulateLayer(StagesOf(times), 0, 2, LayerOrder::kGathersFirst).seconds, 18);
}

TEST(ReadyOrderTest, TiesGoToScatters) {
  // AG2 and RS1 are both ready at 2: D2 ends then, and so does E1.
  const LayerTimes times{1, 0.5, 0.5, 0.5, 0};
  const LayerSimulation simulation = SimulateLayer(StagesOf(times), 0, 2, LayerOrder::kReadyFirst);
  double scatter = 0;
  double gather = 0;
  for (const LayerTask& task : simulation.tasks) {
    if (task.kind == OpKind::kEspReduceScatter && task.chunk == 0) scatter = task.begin;
    if (task.kind == OpKind::kEspAllGather && task.chunk == 1) gather = task.begin;
  }
  EXPECT_DOUBLE_EQ(scatter, 2);
  EXPECT_DOUBLE_EQ(gather, 2.5);
}

// The rule is not free when scatters cost far more than gathers: choose by simulation.
TEST(ReadyOrderTest, CanLoseWhenCostsDiffer) {
  const CounterRng random(2, "ready_order");
  uint64_t draw = 0;
  double worst = 0;
  for (int i = 0; i < 10'000; ++i) {
    LayerTimes times = RandomTimes(random, draw);
    times.s = times.g * 10;
    const int32_t r = 1 + static_cast<int32_t>(random.Bits(draw++) % 8);
    const double in_order = SimulateLayer(StagesOf(times), 0, r, LayerOrder::kGathersFirst).seconds;
    worst = std::max(
        worst, SimulateLayer(StagesOf(times), 0, r, LayerOrder::kReadyFirst).seconds / in_order);
  }
  EXPECT_GT(worst, 1.01);
}

// Two pipeline tasks around a long gradient task, all on the intra stream.
class RuleTest : public testing::Test {
 protected:
  RuleTest() {
    Add(StreamKind::kCompute, 1);           // 0
    Add(StreamKind::kCompute, 1);           // 1
    AddIntra(1, {false, false, -1, 1}, 0);  // 2: pipeline, ready at 1
    AddIntra(5, {false, true, -1, 2}, 0);   // 3: gradient, ready at 1
    AddIntra(1, {true, false, -1, 3}, 1);   // 4: pipeline, ready at 2
  }
  void Add(StreamKind stream, double seconds) {
    schedule_.Add(stream, seconds);
    tasks_.emplace_back();
  }
  void AddIntra(double seconds, IntraTask task, int32_t need) {
    schedule_.Add(StreamKind::kIntra, seconds);
    schedule_.Need(need);
    tasks_.push_back(task);
  }
  Schedule schedule_;
  std::vector<IntraTask> tasks_;
};

using Order = std::vector<int32_t>;

TEST_F(RuleTest, ReadinessServesWhoeverWasFirst) {
  EXPECT_EQ(OrderByReadiness(schedule_, tasks_, IntraRule::kReadiness), (Order{0, 1, 2, 3, 4}));
}

TEST_F(RuleTest, PipelinesGoBeforeGradients) {
  EXPECT_EQ(OrderByReadiness(schedule_, tasks_, IntraRule::kPipelineFirst), (Order{0, 1, 2, 4, 3}));
}

TEST_F(RuleTest, SegmentsKeepTheirOrder) {
  tasks_[4].segment = 2;  // with the gradient, but ready later
  EXPECT_EQ(OrderByReadiness(schedule_, tasks_, IntraRule::kWithinPipelines),
            (Order{0, 1, 2, 3, 4}));
  tasks_[3].segment = tasks_[4].segment = 3;
  tasks_[2].segment = 4;
  std::swap(tasks_[2], tasks_[4]);  // the first listed is segment 3 now, task 4 is last
  EXPECT_EQ(OrderByReadiness(schedule_, tasks_, IntraRule::kWithinPipelines).back(), 4);
}

TEST_F(RuleTest, AfterHoldsATaskBack) {
  tasks_[4].after = 3;
  EXPECT_EQ(OrderByReadiness(schedule_, tasks_, IntraRule::kPipelineFirst), (Order{0, 1, 2, 3, 4}));
}

}  // namespace
}  // namespace weft
