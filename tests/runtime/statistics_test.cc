#include "runtime/statistics.h"

#include <cmath>

#include "base/random.h"
#include "gtest/gtest.h"

namespace weft {
namespace {

TEST(MedianTest, IsTheMiddleValueOrTheMeanOfTheTwo) {
  EXPECT_EQ(Median({}), 0);
  EXPECT_EQ(Median({4}), 4);
  EXPECT_EQ(Median({4, 1}), 2.5);
  EXPECT_EQ(Median({9, 1, 5}), 5);
  EXPECT_EQ(Median({9, 1, 5, 6}), 5.5);
  EXPECT_EQ(Median({2, 2, 2, 1000}), 2);
  EXPECT_EQ(Median({-3, -1, -2}), -2);
}

TEST(QuantileTest, LiesBetweenNeighbours) {
  EXPECT_EQ(Quantile({}, 0.9), 0);
  EXPECT_EQ(Quantile({4}, 0.9), 4);
  EXPECT_EQ(Quantile({9, 1, 5}, 0), 1);
  EXPECT_EQ(Quantile({9, 1, 5}, 0.5), 5);
  EXPECT_EQ(Quantile({9, 1, 5}, 1), 9);
  EXPECT_DOUBLE_EQ(Quantile({2, 1}, 0.9), 1.9);
  EXPECT_DOUBLE_EQ(Quantile({80, 10, 30, 20, 40, 50, 60, 70}, 0.9), 73);
}

TEST(RobustSpreadTest, OfNormalValuesIsTheirStandardDeviation) {
  const CounterRng rng(3, "normal");
  std::vector<double> values;
  for (uint64_t i = 0; i < 20000; ++i) values.push_back(7 + 0.5 * rng.Normal(i));
  EXPECT_NEAR(RobustSpread(values), 0.5, 0.02);
}

TEST(RobustSpreadTest, OutliersDoNotMoveIt) {
  std::vector<double> values = {10, 11, 12, 13, 14};
  EXPECT_DOUBLE_EQ(RobustSpread(values), 1.4826);
  values.back() = 1e9;
  EXPECT_DOUBLE_EQ(RobustSpread(values), 1.4826);
}

TEST(RobustSpreadTest, OfNothingOrEqualValuesIsZero) {
  EXPECT_EQ(RobustSpread({}), 0);
  EXPECT_EQ(RobustSpread({5}), 0);
  EXPECT_EQ(RobustSpread({5, 5, 5, 5}), 0);
}

TEST(MedianErrorTest, IsHowFarMediansAreApart) {
  const CounterRng rng(4, "normal");
  std::vector<double> medians;
  double error = 0;
  for (uint64_t sample = 0; sample < 4000; ++sample) {
    std::vector<double> values;
    for (uint64_t i = 0; i < 50; ++i) values.push_back(7 + 0.5 * rng.Normal(50 * sample + i));
    medians.push_back(Median(values));
    error += MedianError(values) / 4000;
  }
  EXPECT_NEAR(error / RobustSpread(medians), 1, 0.1);
  EXPECT_EQ(MedianError({}), 0);
  EXPECT_EQ(MedianError({5}), 0);
}

}  // namespace
}  // namespace weft
