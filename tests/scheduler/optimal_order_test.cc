#include "scheduler/optimal_order.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "base/random.h"

namespace weft {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

double BestOfAllOrders(const Schedule& schedule) {
  std::vector<int32_t> order(static_cast<size_t>(schedule.size()));
  std::iota(order.begin(), order.end(), 0);
  double best = kNever;
  do {
    std::vector<bool> issued(order.size(), false);
    bool legal = true;
    for (const int32_t task : order) {
      for (int32_t i = schedule.needs_begin(task); i < schedule.needs_end(task); ++i) {
        legal &= issued[static_cast<size_t>(schedule.needs()[static_cast<size_t>(i)])];
      }
      issued[static_cast<size_t>(task)] = true;
    }
    std::vector<double> begin;
    std::vector<double> end;
    if (legal) best = std::min(best, RunSchedule(Reordered(schedule, order), begin, end));
  } while (std::next_permutation(order.begin(), order.end()));
  return best;
}

TEST(OptimalOrderTest, IsTheBestOfAllOrders) {
  const CounterRng random(1, "optimal_order");
  uint64_t draw = 0;
  for (int i = 0; i < 200; ++i) {
    Schedule schedule;
    const uint64_t sparse = 2 + random.Bits(draw++) % 6;
    for (int32_t task = 0; task < 7; ++task) {
      const auto stream = static_cast<StreamKind>(random.Bits(draw++) % kNumStreams);
      schedule.Add(stream, static_cast<double>(random.Bits(draw++) % 6));
      for (int32_t need = 0; need < task; ++need) {
        if (random.Bits(draw++) % sparse == 0) schedule.Need(need);
      }
    }
    const double best = BestOfAllOrders(schedule);
    OptimalOrder optimal;
    ASSERT_NEAR(optimal.Seconds(schedule, kNever), best, 1e-5) << i;
    // Asked again, and asked only for something better.
    ASSERT_NEAR(optimal.Seconds(schedule, kNever), best, 1e-5) << i;
    ASSERT_EQ(optimal.Seconds(schedule, best), best) << i;
    ASSERT_EQ(OptimalOrder().Seconds(schedule, 0.5 * best), 0.5 * best) << i;
    ASSERT_NEAR(OptimalOrder().Seconds(schedule, best + 1), best, 1e-5) << i;
  }
}

// Tenths add up to what is no double, and a task of no time begins and ends at such a sum.
TEST(OptimalOrderTest, NeedsComeFirstWhateverRoundingDoes) {
  const CounterRng random(2, "optimal_order");
  uint64_t draw = 0;
  for (int i = 0; i < 300; ++i) {
    Schedule schedule;
    for (int32_t task = 0; task < 12; ++task) {
      const auto stream = static_cast<StreamKind>(random.Bits(draw++) % kNumStreams);
      schedule.Add(stream, 0.1 * static_cast<double>(random.Bits(draw++) % 4));
      for (int32_t need = std::max(0, task - 3); need < task; ++need) {
        if (random.Bits(draw++) % 2 == 0) schedule.Need(need);
      }
    }
    std::vector<int32_t> order;
    const double seconds = OptimalOrder().Seconds(schedule, kNever, &order);
    ASSERT_EQ(order.size(), 12u);
    std::vector<bool> issued(order.size(), false);
    for (const int32_t task : order) {
      for (int32_t n = schedule.needs_begin(task); n < schedule.needs_end(task); ++n) {
        ASSERT_TRUE(issued[static_cast<size_t>(schedule.needs()[static_cast<size_t>(n)])])
            << "instance " << i << ", task " << task;
      }
      issued[static_cast<size_t>(task)] = true;
    }
    std::vector<double> begin;
    std::vector<double> end;
    ASSERT_NEAR(RunSchedule(Reordered(schedule, order), begin, end), seconds, 1e-9) << i;
  }
}

}  // namespace
}  // namespace weft
