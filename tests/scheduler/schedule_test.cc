#include "scheduler/schedule.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "base/random.h"

namespace weft {
namespace {

constexpr StreamKind kCompute = StreamKind::kCompute;
constexpr StreamKind kIntra = StreamKind::kIntra;
constexpr StreamKind kInter = StreamKind::kInter;

Contention MakeContention(double compute_intra, double compute_inter, double inter_compute) {
  Contention contention;
  contention.stretch[0][1] = compute_intra;
  contention.stretch[0][2] = compute_inter;
  contention.stretch[2][0] = inter_compute;
  return contention;
}

struct Times {
  explicit Times(const Schedule& schedule) { makespan = RunSchedule(schedule, begin, end); }
  std::vector<double> begin;
  std::vector<double> end;
  double makespan = 0;
};

TEST(ScheduleTest, TwoTasksSideBySide) {
  Schedule schedule(MakeContention(0, 0.5, 1));
  schedule.Add(kCompute, 4);  // at 2/3 while the other runs
  schedule.Add(kInter, 1);    // at 1/2: until 2
  const Times times(schedule);
  EXPECT_EQ(times.begin, (std::vector<double>{0, 0}));
  EXPECT_DOUBLE_EQ(times.end[1], 2);
  EXPECT_DOUBLE_EQ(times.end[0], 2 + (4 - 2 / 1.5));
  EXPECT_DOUBLE_EQ(times.makespan, times.end[0]);
}

TEST(ScheduleTest, ThreeStreamsAddUp) {
  Schedule schedule(MakeContention(0.5, 1.5, 0));
  schedule.Add(kCompute, 3);
  schedule.Add(kIntra, 1);  // nothing slows communication down here
  schedule.Add(kInter, 3);
  const Times times(schedule);
  EXPECT_DOUBLE_EQ(times.end[1], 1);
  EXPECT_DOUBLE_EQ(times.end[2], 3);
  // Compute: 1/3 in the first second, 2/2.5 in the next two, the rest alone.
  EXPECT_DOUBLE_EQ(times.end[0], 3 + (3 - 1.0 / 3 - 0.8));
}

TEST(ScheduleTest, AChainOverlapsNothing) {
  Schedule schedule(MakeContention(2, 2, 2));
  schedule.Add(kCompute, 1);
  schedule.Add(kInter, 2);
  schedule.Need(0);
  schedule.Add(kIntra, 0);
  schedule.Need(1);
  schedule.Add(kCompute, 4);
  schedule.Need(2);
  const Times times(schedule);
  EXPECT_EQ(times.begin, (std::vector<double>{0, 1, 3, 3}));
  EXPECT_EQ(times.end, (std::vector<double>{1, 3, 3, 7}));
}

TEST(ScheduleTest, ATaskThatBeginsLaterSlowsTheRestOnly) {
  Schedule schedule(MakeContention(0, 1, 0));
  schedule.Add(kIntra, 2);
  schedule.Add(kCompute, 3);  // alone until 2, then at half speed
  schedule.Add(kInter, 4);
  schedule.Need(0);
  const Times times(schedule);
  EXPECT_EQ(times.begin, (std::vector<double>{0, 0, 2}));
  EXPECT_DOUBLE_EQ(times.end[1], 4);
  EXPECT_DOUBLE_EQ(times.end[2], 6);
}

TEST(ScheduleTest, OneStreamTakesTheSumOfWhatTasksTakeAlone) {
  Schedule schedule(MakeContention(1, 1, 1));
  for (const double seconds : {0.1, 0.7, 0.0, 0.3}) schedule.Add(kCompute, seconds);
  EXPECT_DOUBLE_EQ(Times(schedule).makespan, 1.1);
}

TEST(ScheduleTest, NoTasksTakeNoTime) {
  EXPECT_EQ(Times(Schedule(MakeContention(1, 1, 1))).makespan, 0);
  EXPECT_EQ(Times(Schedule()).makespan, 0);
}

TEST(ScheduleTest, ReorderedKeepsTheContention) {
  Schedule schedule(MakeContention(0, 0.5, 1));
  schedule.Add(kCompute, 4);
  schedule.Add(kInter, 1);
  const Schedule other = Reordered(schedule, {1, 0});
  EXPECT_EQ(other.contention(), schedule.contention());
  EXPECT_EQ(Times(other).makespan, Times(schedule).makespan);
}

// Zero seconds and equal seconds among them, so that many things happen at the same moment.
Schedule RandomSchedule(const Contention& contention, const CounterRng& random, uint64_t& draw) {
  Schedule schedule(contention);
  const auto tasks = static_cast<int32_t>(random.Bits(draw++) % 40);
  const uint64_t sparse = 2 + random.Bits(draw++) % 20;
  for (int32_t task = 0; task < tasks; ++task) {
    const auto stream = static_cast<StreamKind>(random.Bits(draw++) % kNumStreams);
    const bool round = random.Bits(draw++) % 2 == 0;
    schedule.Add(stream, round ? static_cast<double>(random.Bits(draw) % 4)
                               : static_cast<double>(random.Uniform(draw)));
    ++draw;
    for (int32_t need = 0; need < task; ++need) {
      if (random.Bits(draw++) % sparse == 0) schedule.Need(need);
    }
  }
  return schedule;
}

Contention RandomContention(const CounterRng& random, uint64_t& draw) {
  Contention contention;
  for (size_t s = 0; s < kNumStreams; ++s) {
    for (size_t t = 0; t < kNumStreams; ++t) {
      const bool some = random.Bits(draw++) % 3 > 0;
      if (s != t && some)
        contention.stretch[s][t] = 2 * static_cast<double>(random.Uniform(draw++));
    }
  }
  return contention;
}

// What `task` gets done from begin to end at the speeds that the other streams leave it.
double WorkDone(const Schedule& schedule, const Times& times, int32_t task) {
  const auto t = static_cast<size_t>(task);
  std::vector<double> moments = {times.begin[t], times.end[t]};
  for (const std::vector<double>* column : {&times.begin, &times.end}) {
    for (const double moment : *column) {
      if (moment > times.begin[t] && moment < times.end[t]) moments.push_back(moment);
    }
  }
  std::sort(moments.begin(), moments.end());
  double work = 0;
  for (size_t i = 1; i < moments.size(); ++i) {
    const double middle = std::midpoint(moments[i - 1], moments[i]);
    std::array<bool, kNumStreams> busy = {};
    for (int32_t other = 0; other < schedule.size(); ++other) {
      const auto o = static_cast<size_t>(other);
      if (times.begin[o] < middle && middle < times.end[o]) {
        busy[static_cast<size_t>(schedule.stream(other))] = true;
      }
    }
    work += (moments[i] - moments[i - 1]) /
            schedule.contention().StretchOf(schedule.stream(task), busy);
  }
  return work;
}

TEST(ScheduleTest, EveryTaskDoesItsWorkAndBeginsAsSoonAsItMay) {
  const CounterRng random(1, "schedule");
  uint64_t draw = 0;
  for (int i = 0; i < 300; ++i) {
    const Contention contention = RandomContention(random, draw);
    const Schedule schedule = RandomSchedule(contention, random, draw);
    const Times times(schedule);
    std::array<double, kNumStreams> free = {};
    double last = 0;
    for (int32_t task = 0; task < schedule.size(); ++task) {
      const auto t = static_cast<size_t>(task);
      double& stream_free = free[static_cast<size_t>(schedule.stream(task))];
      double ready = stream_free;
      for (int32_t k = schedule.needs_begin(task); k < schedule.needs_end(task); ++k) {
        ready = std::max(ready,
                         times.end[static_cast<size_t>(schedule.needs()[static_cast<size_t>(k)])]);
      }
      ASSERT_EQ(times.begin[t], ready) << i << " task " << task;
      ASSERT_NEAR(WorkDone(schedule, times, task), schedule.seconds(task), 1e-9) << i;
      stream_free = times.end[t];
      last = std::max(last, times.end[t]);
    }
    ASSERT_EQ(times.makespan, last);
  }
}

// In-order streams have no anomalies: what takes longer never lets anything end sooner.
TEST(ScheduleTest, ContentionNeverMakesAStepFaster) {
  const CounterRng random(2, "schedule");
  uint64_t draw = 0;
  for (int i = 0; i < 300; ++i) {
    const Contention contention = RandomContention(random, draw);
    const uint64_t first = draw;
    const Times contended(RandomSchedule(contention, random, draw));
    draw = first;
    const Times alone(RandomSchedule({}, random, draw));
    for (size_t task = 0; task < alone.end.size(); ++task) {
      ASSERT_GE(contended.end[task], alone.end[task] * (1 - 1e-12)) << i;
    }
  }
}

// A contention that touches no task of the schedule takes the way from event to event and must end
// where the single pass does, bit for bit.
TEST(ScheduleTest, WithoutContentionBothWaysAgreeBitForBit) {
  const CounterRng random(3, "schedule");
  uint64_t draw = 0;
  Contention smallest;  // 1 + it is 1
  smallest.stretch[0][1] = 1e-300;
  for (int i = 0; i < 300; ++i) {
    const uint64_t first = draw;
    const Times events(RandomSchedule(smallest, random, draw));
    draw = first;
    const Times pass(RandomSchedule({}, random, draw));
    ASSERT_EQ(events.begin, pass.begin) << i;
    ASSERT_EQ(events.end, pass.end) << i;
    ASSERT_EQ(events.makespan, pass.makespan) << i;
  }
}

}  // namespace
}  // namespace weft
