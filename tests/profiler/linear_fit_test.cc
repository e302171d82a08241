#include "profiler/linear_fit.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/random.h"

namespace weft {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr CostKey kCollective{.kind = OpKind::kDispatch, .group = GroupKind::kEp, .group_size = 2};
constexpr CostKey kCompute{.kind = OpKind::kExpert, .direction = Direction::kForward};

// `repetitions` of each size 2^18 * 1..24 on the line, times (1 + noise * N(0,1)).
std::vector<CostSample> NoisyLine(double alpha, double beta, double noise, int repetitions) {
  const CounterRng rng(42, "noise");
  std::vector<CostSample> samples;
  for (int i = 1; i <= 24; ++i) {
    for (int repetition = 0; repetition < repetitions; ++repetition) {
      const double size = i * 262144.0;
      const double factor = 1 + noise * static_cast<double>(rng.Normal(samples.size()));
      samples.push_back({size, (alpha + beta * size) * factor});
    }
  }
  return samples;
}

TEST(FitLine, RecoversAnExactLine) {
  const std::vector<FitPoint> points = {{0, 1e-4}, {1e6, 1.1e-3}, {1e9, 1.0001}};
  const LinearCost fit = FitLine(points);
  EXPECT_NEAR(fit.alpha, 1e-4, 1e-12);
  EXPECT_NEAR(fit.beta, 1e-9, 1e-17);
  EXPECT_NEAR(fit.r2, 1, 1e-9);
  EXPECT_LT(fit.median_relative_residual, 1e-9);
  EXPECT_TRUE(fit.accepted);
}

TEST(FitLine, RecoversALineUnderMultiplicativeNoise) {
  const LinearCost fit = FitLine(PointsOf(kCollective, NoisyLine(2e-3, 1e-9, 0.03, 5)));
  EXPECT_NEAR(fit.alpha, 2e-3, 2e-3 * 0.05);
  EXPECT_NEAR(fit.beta, 1e-9, 1e-9 * 0.05);
  EXPECT_GT(fit.r2, 0.98);
  EXPECT_LT(fit.median_relative_residual, 0.03);
  EXPECT_TRUE(fit.accepted);
}

TEST(FitLine, SmallTimesCountAsMuchAsLargeOnes) {
  // Plain least squares would let the 1 s point's 5% error (50 ms) hide the latency of 20 us.
  const std::vector<FitPoint> points = {{1, 2e-5}, {1e3, 2.1e-5}, {1e4, 3e-5}, {1e9, 1.05}};
  const LinearCost fit = FitLine(points);
  EXPECT_NEAR(fit.alpha, 2e-5, 1e-6);
  EXPECT_TRUE(fit.accepted);
}

TEST(FitLine, AcceptsFlatLatencyBoundData) {
  std::vector<FitPoint> points;
  points.reserve(20);
  for (int i = 0; i < 20; ++i) {
    points.push_back({std::ldexp(1.0, i), 5e-5 * (i % 2 == 0 ? 1.02 : 0.98)});
  }
  const LinearCost fit = FitLine(points);
  EXPECT_NEAR(fit.alpha, 5e-5, 1e-6);
  EXPECT_LT(fit.r2, 0.5);  // what r2 alone would refuse
  EXPECT_TRUE(fit.accepted);
}

TEST(FitLine, HoldsBetaAtZeroWhereTimesFall) {
  const std::vector<FitPoint> points = {{1, 1.05e-3}, {2, 1.0e-3}, {3, 0.95e-3}};
  const LinearCost fit = FitLine(points);
  EXPECT_EQ(fit.beta, 0);
  EXPECT_NEAR(fit.alpha, 1e-3, 1e-5);
  EXPECT_TRUE(fit.accepted);
}

TEST(FitLine, HoldsAlphaAtZeroWhereTheLineWouldStartBelow) {
  const std::vector<FitPoint> points = {{1, 0.95}, {2, 2.0}, {3, 3.15}};
  const LinearCost fit = FitLine(points);
  EXPECT_EQ(fit.alpha, 0);
  EXPECT_NEAR(fit.beta, 1, 0.03);
  EXPECT_TRUE(fit.accepted);
}

TEST(FitLine, ClampsToTheBetterEdge) {
  // No point of the quadrant is better.
  const std::vector<FitPoint> points = {{0, 1}, {1, 0.2}, {5, 9}, {6, 0.1}};
  const LinearCost fit = FitLine(points);
  const auto error = [&](double alpha, double beta) {
    double sum = 0;
    for (const FitPoint& p : points) {
      sum += std::pow((alpha + beta * p.size - p.seconds) / p.seconds, 2);
    }
    return sum;
  };
  for (int i = 0; i <= 1000; ++i) {
    for (int j = 0; j <= 20; ++j) {
      EXPECT_LE(error(fit.alpha, fit.beta), error(i * 1e-3, j * 1e-2) + 1e-12);
    }
  }
  EXPECT_FALSE(fit.accepted);
}

TEST(FitLine, RefusesTwoRegimes) {
  std::vector<FitPoint> points;  // eager up to 4 KiB, then rendezvous at eight times the cost
  for (int i = 6; i < 18; ++i) {
    const double size = std::ldexp(1.0, i);
    points.push_back({size, i <= 12 ? 1e-5 : 8e-5 + 1e-12 * size});
  }
  const LinearCost fit = FitLine(points);
  EXPECT_GT(fit.median_relative_residual, kMaxMedianRelativeResidual);
  EXPECT_FALSE(fit.accepted);
}

TEST(FitLine, OnePointIsAFlatLineThatIsNotAccepted) {
  const LinearCost fit = FitLine(std::vector<FitPoint>{{1000, 2e-3}});
  EXPECT_DOUBLE_EQ(fit.alpha, 2e-3);
  EXPECT_EQ(fit.beta, 0);
  EXPECT_FALSE(fit.accepted);
  EXPECT_FALSE(FitLine(std::vector<FitPoint>{{0, 2e-3}}).accepted);
  EXPECT_FALSE(FitLine(std::vector<FitPoint>{{100, 2e-3}, {105, 1e-3}}).accepted);
}

TEST(FitLine, LeavesOutWhatIsNotAMeasurement) {
  const std::vector<FitPoint> points = {
      {1, 0},         {2, -1},      {-1, 1},      {3, std::nan("")}, {std::nan(""), 1},
      {4, kInfinity}, {5, 100, 0},  {6, 100, -1}, {1000, 2e-3},      {2000, 3e-3},
      {kInfinity, 1}, {0, 1e-3, 1}, {3000, 4e-3}};
  const LinearCost fit = FitLine(points);
  EXPECT_NEAR(fit.alpha, 1e-3, 1e-12);
  EXPECT_NEAR(fit.beta, 1e-6, 1e-15);
  EXPECT_TRUE(fit.accepted);
  EXPECT_EQ(FitLine({}), LinearCost{});
}

TEST(FitLine, WeightsAreImportance) {
  const std::vector<FitPoint> twice = {{1, 1}, {1, 1}, {2, 3}, {4, 4}, {8, 9}};
  const std::vector<FitPoint> weighted = {{1, 1, 2}, {2, 3}, {4, 4}, {8, 9}};
  const LinearCost a = FitLine(twice);
  const LinearCost b = FitLine(weighted);
  EXPECT_NEAR(a.alpha, b.alpha, 1e-12);
  EXPECT_NEAR(a.beta, b.beta, 1e-12);
  EXPECT_NEAR(a.r2, b.r2, 1e-12);
  EXPECT_NEAR(a.median_relative_residual, b.median_relative_residual, 1e-12);
}

TEST(FitLine, HugeSizesLoseNoDigits) {
  std::vector<FitPoint> points;
  for (int i = 1; i <= 8; ++i) points.push_back({i * 1e17, 1e-3 + i * 1e17 * 1e-20});
  const LinearCost fit = FitLine(points);
  EXPECT_NEAR(fit.alpha, 1e-3, 1e-11);
  EXPECT_NEAR(fit.beta, 1e-20, 1e-28);
}

TEST(PointsOf, TakesTheMedianOfEqualSizes) {
  const std::vector<CostSample> samples = {{10, 3}, {5, 1}, {10, 99}, {10, 2}, {5, 2}, {7, -1}};
  const std::vector<FitPoint> points = PointsOf(kCollective, samples);
  ASSERT_EQ(points.size(), 2u);
  EXPECT_EQ(points[0].size, 5);
  EXPECT_EQ(points[0].seconds, 1.5);
  EXPECT_EQ(points[0].weight, 2);
  EXPECT_EQ(points[1].size, 10);
  EXPECT_EQ(points[1].seconds, 3);
  EXPECT_EQ(points[1].weight, 3);
}

TEST(PointsOf, ComputationIsTheMeanOfASizeBucket) {
  // Three of four ranks get a core at once, the fourth waits for one: a step pays the mean.
  const std::vector<CostSample> samples = {
      {100, 1e-3}, {101, 1e-3}, {102, 1e-3}, {101, 5e-3}, {400, 4e-3}};
  const std::vector<FitPoint> points = PointsOf(kCompute, samples);
  ASSERT_EQ(points.size(), 2u);
  EXPECT_NEAR(points[0].size, 101, 1e-9);
  EXPECT_NEAR(points[0].seconds, 2e-3, 1e-12);
  EXPECT_EQ(points[0].weight, 4);
  EXPECT_EQ(points[1].size, 400);
}

TEST(PointsOf, OneBadRepetitionMovesNothing) {
  std::vector<CostSample> samples = NoisyLine(2e-3, 1e-9, 0.01, 5);
  for (size_t i = 0; i < samples.size(); i += 5) samples[i].seconds *= 20;  // descheduled
  const LinearCost fit = FitLine(PointsOf(kCollective, samples));
  EXPECT_NEAR(fit.alpha, 2e-3, 2e-3 * 0.05);
  EXPECT_NEAR(fit.beta, 1e-9, 1e-9 * 0.05);
  EXPECT_TRUE(fit.accepted);
}

TEST(PointsOf, ABurstIsNoRateOfACollective) {
  const std::vector<CostSample> samples = {{100, 1}, {1000, 100}, {10000, 1000}};
  for (const FitPoint& p : PointsOf(kCollective, samples))
    EXPECT_NEAR(p.seconds / p.size, 0.1, 1e-3);
  EXPECT_EQ(PointsOf(kCompute, samples)[0].seconds, 1);
}

TEST(FitTable, SortsAndFitsEveryEntry) {
  ProfileTable table;
  CostKey a;
  CostKey b;
  b.kind = OpKind::kExpert;
  table.entries[a].samples = {{3, 7}, {1, 3}, {2, 5}};
  table.entries[b].samples = {{1, 2}};
  FitTable(table);
  EXPECT_EQ(table.entries[a].samples, (std::vector<CostSample>{{1, 3}, {2, 5}, {3, 7}}));
  EXPECT_NEAR(table.entries[a].fit.alpha, 1, 1e-9);
  EXPECT_NEAR(table.entries[a].fit.beta, 2, 1e-9);
  EXPECT_TRUE(table.entries[a].fit.accepted);
  EXPECT_FALSE(table.entries[b].fit.accepted);
}

}  // namespace
}  // namespace weft
