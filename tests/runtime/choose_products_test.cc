#include "runtime/choose_products.h"

#include "gtest/gtest.h"

namespace weft {
namespace {

constexpr GroupedMethod kWays[] = {GroupedMethod::kOneLaunch, GroupedMethod::kOneByOne};

KeyedSample SampleOf(OpKind kind, Direction direction, double seconds) {
  KeyedSample keyed;
  keyed.key.kind = kind;
  keyed.key.direction = direction;
  keyed.sample.seconds = seconds;
  return keyed;
}

TEST(ChooseProductsTest, OnlyExpertsCount) {
  EXPECT_EQ(ExpertSeconds({}), 0);
  const KeyedSample samples[] = {SampleOf(OpKind::kExpert, Direction::kForward, 1),
                                 SampleOf(OpKind::kExpert, Direction::kBackward, 2),
                                 SampleOf(OpKind::kExpertWgrad, Direction::kBackward, 4),
                                 SampleOf(OpKind::kAttention, Direction::kForward, 8),
                                 SampleOf(OpKind::kDispatch, Direction::kForward, 16)};
  EXPECT_EQ(ExpertSeconds(samples), 7);
}

TEST(ChooseProductsTest, TheLeastMedianComesFirst) {
  // The least mean, and the least round, would be the first way's.
  const std::vector<double> rounds[] = {{1, 1, 5, 5, 5}, {4, 4, 4, 4, 9}};
  const std::vector<MeasuredProducts> ranked = RankProducts(kWays, rounds);
  ASSERT_EQ(ranked.size(), 2u);
  EXPECT_EQ(ranked[0].method, GroupedMethod::kOneByOne);
  EXPECT_EQ(ranked[0].seconds, 4);
  EXPECT_EQ(ranked[1].method, GroupedMethod::kOneLaunch);
  EXPECT_EQ(ranked[1].seconds, 5);
}

TEST(ChooseProductsTest, EqualsStayInTheOrderOfTheDevice) {
  const std::vector<double> rounds[] = {{2, 2}, {2, 2}};
  EXPECT_EQ(RankProducts(kWays, rounds).front().method, GroupedMethod::kOneLaunch);
}

}  // namespace
}  // namespace weft
