#include "runtime/comparison.h"

#include <gtest/gtest.h>

#include <map>

namespace weft {
namespace {

ComparedPolicy Policy(std::vector<std::vector<double>> rounds) {
  ComparedPolicy policy;
  policy.rounds = std::move(rounds);
  return policy;
}

TEST(ComparisonTest, EveryPolicyComesEquallyOftenAtEachPlaceOfARound) {
  std::map<std::pair<size_t, size_t>, int> times;  // by policy and place
  for (int32_t round = 0; round < 6; ++round) {
    const std::vector<size_t> order = RoundOrder(round, 3);
    ASSERT_EQ(order.size(), 3u);
    for (size_t place = 0; place < 3; ++place) ++times[{order[place], place}];
  }
  EXPECT_EQ(times.size(), 9u);
  for (const auto& [where, count] : times) EXPECT_EQ(count, 2);
}

TEST(ComparisonTest, RatiosAreThoseOfTheFirstPolicy) {
  std::vector<ComparedPolicy> policies = {Policy({{4, 4, 40}, {6, 6, 6}}),
                                          Policy({{2, 2, 2}, {4, 4, 90}})};
  Judge(policies);
  EXPECT_EQ(policies[0].step_seconds, 6);
  EXPECT_EQ(policies[0].speedup, 1);
  EXPECT_EQ(policies[0].speedup_low, 1);
  EXPECT_EQ(policies[0].speedup_high, 1);
  EXPECT_EQ(policies[1].step_seconds, 3);
  EXPECT_EQ(policies[1].speedup, 2);
  EXPECT_EQ(policies[1].speedup_low, 1.5);
  EXPECT_EQ(policies[1].speedup_high, 2);
}

TEST(ComparisonTest, TheBoundIsTheBusiestStream) {
  ComparedPolicy policy;
  policy.busy_seconds = {1, 3, 2};
  EXPECT_EQ(policy.bound_seconds(), 3);
}

}  // namespace
}  // namespace weft
