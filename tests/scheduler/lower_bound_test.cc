#include "scheduler/lower_bound.h"

#include <algorithm>
#include <numeric>
#include <random>

#include "gtest/gtest.h"

namespace weft {
namespace {

Schedule Random(std::mt19937& draw, int32_t tasks) {
  Schedule schedule;
  std::uniform_int_distribution<int> stream(0, kNumStreams - 1), percent(0, 99);
  std::uniform_real_distribution<double> seconds(0.1, 3);
  for (int32_t t = 0; t < tasks; ++t) {
    schedule.Add(static_cast<StreamKind>(stream(draw)), seconds(draw));
    for (int32_t need = 0; need < t; ++need) {
      if (percent(draw) < 30) schedule.Need(need);
    }
  }
  return schedule;
}

// The least makespan over all orders that keep needs before their task.
double BestOfAllOrders(const Schedule& schedule) {
  std::vector<int32_t> order(static_cast<size_t>(schedule.size()));
  std::iota(order.begin(), order.end(), 0);
  double best = 1e300;
  do {
    std::vector<int32_t> place(order.size());
    for (size_t i = 0; i < order.size(); ++i)
      place[static_cast<size_t>(order[i])] = static_cast<int32_t>(i);
    Schedule ordered;
    bool possible = true;
    for (const int32_t task : order) {
      const int32_t at = ordered.Add(schedule.stream(task), schedule.seconds(task));
      for (int32_t i = schedule.needs_begin(task); i < schedule.needs_end(task); ++i) {
        const int32_t need = place[static_cast<size_t>(schedule.needs()[static_cast<size_t>(i)])];
        possible = possible && need < at;
        if (possible) ordered.Need(need);
      }
    }
    if (!possible) continue;
    std::vector<double> begin, end;
    best = std::min(best, RunSchedule(ordered, begin, end));
  } while (std::next_permutation(order.begin(), order.end()));
  return best;
}

TEST(LowerBoundTest, NoOrderUndercutsIt) {
  std::mt19937 draw(7);
  double sum = 0;
  constexpr int kCases = 40;
  for (int i = 0; i < kCases; ++i) {
    const Schedule schedule = Random(draw, 7);
    const double bound = LowerBound(schedule);
    const double best = BestOfAllOrders(schedule);
    ASSERT_LE(bound, best * (1 + 1e-12));
    ASSERT_LE(QuickLowerBound(schedule), bound * (1 + 1e-12));
    sum += bound / best;
  }
  EXPECT_GT(sum / kCases, 0.97);  // and it says something
}

// Two transfers that nothing can be ready for before 5 s, however early a third one ran.
TEST(LowerBoundTest, CountsTheIdleTimeBeforeLateTasks) {
  Schedule schedule;
  schedule.Add(StreamKind::kInter, 1);
  const int32_t product = schedule.Add(StreamKind::kCompute, 5);
  for (int i = 0; i < 2; ++i) {
    schedule.Add(StreamKind::kInter, 4);
    schedule.Need(product);
  }
  EXPECT_DOUBLE_EQ(LowerBound(schedule), 13);
}

TEST(LowerBoundTest, NothingTakesNoTime) { EXPECT_EQ(LowerBound(Schedule()), 0); }

}  // namespace
}  // namespace weft
