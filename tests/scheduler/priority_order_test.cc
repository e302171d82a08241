#include "scheduler/priority_order.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <limits>
#include <numeric>
#include <tuple>

#include "base/random.h"

namespace weft {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

// Small whole seconds, zero among them, so that many things happen at the same moment.
Schedule RandomSchedule(const CounterRng& random, uint64_t& draw) {
  Schedule schedule;
  const int32_t tasks = static_cast<int32_t>(random.Bits(draw++) % 40);
  const uint64_t sparse = 1 + random.Bits(draw++) % 20;
  for (int32_t task = 0; task < tasks; ++task) {
    const auto stream = static_cast<StreamKind>(random.Bits(draw++) % kNumStreams);
    schedule.Add(stream, static_cast<double>(random.Bits(draw++) % 5));
    for (int32_t need = 0; need < task; ++need) {
      if (random.Bits(draw++) % sparse == 0) schedule.Need(need);
    }
  }
  return schedule;
}

std::vector<double> RandomUrgency(const CounterRng& random, uint64_t& draw, int32_t size) {
  std::vector<double> urgency;
  urgency.reserve(static_cast<size_t>(size));
  for (int32_t i = 0; i < size; ++i) {
    urgency.push_back(static_cast<double>(random.Bits(draw++) % 8));
  }
  return urgency;
}

template <typename F>
void ForEachNeed(const Schedule& schedule, int32_t task, F use) {
  for (int32_t i = schedule.needs_begin(task); i < schedule.needs_end(task); ++i) {
    use(schedule.needs()[static_cast<size_t>(i)]);
  }
}

// By definition, all tasks looked at for every decision: the earliest moment at which a free stream
// has a task that could start; of the streams that have one then the first; of its tasks the most
// urgent, then the first.
std::vector<int32_t> SlowOrder(const Schedule& schedule, const std::vector<double>& urgency) {
  const size_t n = urgency.size();
  std::vector<double> end(n, -1);  // -1: not placed
  std::array<double, kNumStreams> free = {};
  std::vector<int32_t> order;
  while (order.size() < n) {
    std::vector<double> start(n, kNever);
    for (int32_t task = 0; task < schedule.size(); ++task) {
      const size_t t = static_cast<size_t>(task);
      if (end[t] >= 0) continue;
      start[t] = free[static_cast<size_t>(schedule.stream(task))];
      ForEachNeed(schedule, task, [&](int32_t need) {
        const double ended = end[static_cast<size_t>(need)];
        start[t] = ended < 0 ? kNever : std::max(start[t], ended);
      });
    }
    int32_t best = 0;
    const auto key = [&](int32_t task) {
      const size_t t = static_cast<size_t>(task);
      return std::tuple(start[t], schedule.stream(task), urgency[t], task);
    };
    for (int32_t task = 1; task < schedule.size(); ++task) {
      if (key(task) < key(best)) best = task;
    }
    end[static_cast<size_t>(best)] = start[static_cast<size_t>(best)] + schedule.seconds(best);
    free[static_cast<size_t>(schedule.stream(best))] = end[static_cast<size_t>(best)];
    order.push_back(best);
  }
  return order;
}

TEST(PriorityOrderTest, IsTheOrderOfAListSchedulerByDefinition) {
  const CounterRng random(1, "priority_order");
  uint64_t draw = 0;
  for (int i = 0; i < 3'000; ++i) {
    const Schedule schedule = RandomSchedule(random, draw);
    const std::vector<double> urgency = RandomUrgency(random, draw, schedule.size());
    ASSERT_EQ(OrderByPriority(schedule, urgency), SlowOrder(schedule, urgency)) << i;
  }
}

// What was decided is what the simulator runs: tasks start in the order found, and no stream waits
// while a task of its own could run.
TEST(PriorityOrderTest, NoStreamIdlesWhileATaskOfItsOwnIsReady) {
  const CounterRng random(2, "priority_order");
  uint64_t draw = 0;
  for (int i = 0; i < 1'000; ++i) {
    const Schedule schedule = RandomSchedule(random, draw);
    const std::vector<double> urgency = RandomUrgency(random, draw, schedule.size());
    const Schedule ordered = Reordered(schedule, OrderByPriority(schedule, urgency));
    std::vector<double> begin;
    std::vector<double> end;
    ASSERT_EQ(RunSchedule(ordered, begin, end), SecondsByPriority(schedule, urgency)) << i;
    ASSERT_TRUE(std::is_sorted(begin.begin(), begin.end())) << i;
    std::array<double, kNumStreams> free = {};
    for (int32_t task = 0; task < ordered.size(); ++task) {
      const StreamKind stream = ordered.stream(task);
      const double idle_from = free[static_cast<size_t>(stream)];
      const double idle_until = begin[static_cast<size_t>(task)];
      // Nothing that this stream serves now or later was ready in between.
      for (int32_t later = task; later < ordered.size(); ++later) {
        if (ordered.stream(later) != stream) continue;
        double ready = 0;
        ForEachNeed(ordered, later, [&](int32_t need) {
          ready = std::max(ready, begin[static_cast<size_t>(need)] + ordered.seconds(need));
        });
        ASSERT_GE(std::max(ready, idle_from), idle_until) << i << ": " << task << ", " << later;
      }
      free[static_cast<size_t>(stream)] = idle_until + ordered.seconds(task);
    }
  }
}

TEST(PriorityOrderTest, TiesGoToTheTaskListedFirst) {
  Schedule schedule;
  for (int i = 0; i < 6; ++i) schedule.Add(StreamKind::kCompute, 1);
  EXPECT_EQ(OrderByPriority(schedule, {0, 0, 0, 0, 0, 0}),
            (std::vector<int32_t>{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(OrderByPriority(schedule, {1, 0, 1, 0, 1, 0}),
            (std::vector<int32_t>{1, 3, 5, 0, 2, 4}));
}

TEST(PriorityOrderTest, UrgencyNeverHoldsBackWhatCouldRun) {
  // Task 2 is the most urgent, but is there only at 5: task 1 runs first and is not interrupted.
  Schedule schedule;
  schedule.Add(StreamKind::kCompute, 5);
  schedule.Add(StreamKind::kInter, 7);
  schedule.Add(StreamKind::kInter, 1);
  schedule.Need(0);
  EXPECT_EQ(OrderByPriority(schedule, {0, 9, 0}), (std::vector<int32_t>{0, 1, 2}));
}

double RecursiveSecondsToTheEnd(const Schedule& schedule, int32_t task) {
  double longest = 0;
  for (int32_t later = task + 1; later < schedule.size(); ++later) {
    ForEachNeed(schedule, later, [&](int32_t need) {
      if (need == task) {
        longest = std::max(longest, RecursiveSecondsToTheEnd(schedule, later));
      }
    });
  }
  return schedule.seconds(task) + longest;
}

TEST(PriorityOrderTest, SecondsToTheEndFollowTheLongestChainOfNeeds) {
  const CounterRng random(3, "priority_order");
  uint64_t draw = 0;
  for (int i = 0; i < 100; ++i) {
    Schedule schedule;
    for (int32_t task = 0; task < 14; ++task) {
      schedule.Add(StreamKind::kCompute, random.Uniform(draw++));
      for (int32_t need = 0; need < task; ++need) {
        if (random.Bits(draw++) % 4 == 0) schedule.Need(need);
      }
    }
    const std::vector<double> seconds = SecondsToTheEnd(schedule);
    for (int32_t task = 0; task < schedule.size(); ++task) {
      ASSERT_NEAR(seconds[static_cast<size_t>(task)], RecursiveSecondsToTheEnd(schedule, task),
                  1e-12);
    }
  }
  EXPECT_TRUE(SecondsToTheEnd(Schedule()).empty());
}

// By definition: each task, the most urgent first, at the first moment at which it overlaps with
// none placed before it on its stream; such a moment is when its needs have ended or another task
// ends.
TEST(PriorityOrderTest, GapsAreFilledWhereTasksFirstFit) {
  const CounterRng random(4, "priority_order");
  uint64_t draw = 0;
  for (int i = 0; i < 1'000; ++i) {
    const Schedule schedule = RandomSchedule(random, draw);
    std::vector<double> urgency = SecondsToTheEnd(schedule);
    for (double& seconds : urgency) seconds = -seconds;
    std::vector<int32_t> by_urgency(urgency.size());
    std::iota(by_urgency.begin(), by_urgency.end(), 0);
    std::stable_sort(by_urgency.begin(), by_urgency.end(), [&](int32_t a, int32_t b) {
      return urgency[static_cast<size_t>(a)] < urgency[static_cast<size_t>(b)];
    });
    std::vector<double> placed(urgency.size(), kNever);
    const auto end_of = [&](int32_t task) {
      return placed[static_cast<size_t>(task)] + schedule.seconds(task);
    };
    for (const int32_t task : by_urgency) {
      double ready = 0;
      ForEachNeed(schedule, task, [&](int32_t need) { ready = std::max(ready, end_of(need)); });
      const auto fits = [&](double at) {
        for (int32_t other = 0; other < schedule.size(); ++other) {
          const double begin = placed[static_cast<size_t>(other)];
          if (begin == kNever || schedule.stream(other) != schedule.stream(task)) continue;
          if (at < end_of(other) && begin < at + schedule.seconds(task)) return false;
        }
        return at >= ready;
      };
      double first = fits(ready) ? ready : kNever;
      for (int32_t other = 0; other < schedule.size(); ++other) {
        const double at = end_of(other);
        if (at < first && fits(at)) first = at;
      }
      placed[static_cast<size_t>(task)] = first;
    }
    const std::vector<int32_t> order = OrderInGaps(schedule, urgency);
    std::vector<double> begin;
    std::vector<double> end;
    const double seconds = RunSchedule(Reordered(schedule, order), begin, end);
    ASSERT_EQ(SecondsInGaps(schedule, urgency), seconds) << i;
    for (size_t k = 0; k < order.size(); ++k) {
      ASSERT_EQ(begin[k], placed[static_cast<size_t>(order[k])]) << i;
    }
  }
}

TEST(PriorityOrderTest, GapsMayWaitForWhatIsUrgent) {
  // As in UrgencyNeverHoldsBackWhatCouldRun, but task 1 fits only behind task 2.
  Schedule schedule;
  schedule.Add(StreamKind::kCompute, 5);
  schedule.Add(StreamKind::kInter, 7);
  schedule.Add(StreamKind::kInter, 1);
  schedule.Need(0);
  EXPECT_EQ(OrderInGaps(schedule, {0, 9, 0}), (std::vector<int32_t>{0, 2, 1}));
}

// A schedule that ends with the step: streams serve one task at a time, needs end before.
TEST(PriorityOrderTest, ServedSecondsToTheEndAreAScheduleFromTheEnd) {
  const CounterRng random(5, "priority_order");
  uint64_t draw = 0;
  int longer = 0;
  for (int i = 0; i < 1'000; ++i) {
    const Schedule schedule = RandomSchedule(random, draw);
    const std::vector<double> chain = SecondsToTheEnd(schedule);
    const std::vector<double> served = ServedSecondsToTheEnd(schedule);
    const auto left_after = [&](int32_t task) {
      return served[static_cast<size_t>(task)] - schedule.seconds(task);
    };
    for (int32_t task = 0; task < schedule.size(); ++task) {
      const size_t t = static_cast<size_t>(task);
      ASSERT_GE(served[t], chain[t]) << i;
      longer += served[t] > chain[t];
      ForEachNeed(schedule, task, [&](int32_t need) { ASSERT_GE(left_after(need), served[t]); });
      for (int32_t other = 0; other < task; ++other) {
        if (schedule.stream(other) != schedule.stream(task)) continue;
        ASSERT_TRUE(left_after(other) >= served[t] ||
                    left_after(task) >= served[static_cast<size_t>(other)])
            << i << ": " << other << ", " << task;
      }
    }
  }
  EXPECT_GT(longer, 1'000);
}

}  // namespace
}  // namespace weft
