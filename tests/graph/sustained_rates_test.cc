#include "graph/sustained_rates.h"

#include "gtest/gtest.h"

namespace weft {
namespace {

TEST(SustainRates, LeavesTransfersWithALatencyAlone) {
  std::vector<CostPoint> points;
  for (const double size : {1e3, 1e4, 1e5, 1e6}) points.push_back({size, 1e-4 + size * 1e-9, 3});
  std::vector<CostPoint> sustained = points;
  SustainRates(sustained);
  for (size_t i = 0; i < points.size(); ++i) EXPECT_EQ(sustained[i].seconds, points[i].seconds);
}

TEST(SustainRates, WhatABucketLetsThroughIsNoRate) {
  // The first 32 KiB pass at once, the rest at 1e8 bytes per second.
  std::vector<CostPoint> points = {{32768, 32768 * 2e-9, 7}, {1e6, 1e-2, 7}, {1e7, 1e-1, 7}};
  SustainRates(points);
  for (const CostPoint& p : points) EXPECT_NEAR(p.seconds / p.size, 1e-8, 0.05e-8);
  EXPECT_EQ(points[0].seconds / points[0].size, points[1].seconds / points[1].size);
}

TEST(SustainRates, NeighboursShareWhatTheirBytesTook) {
  std::vector<CostPoint> points = {{10, 100, 1}, {20, 40, 3}, {40, 120, 1}, {80, 80, 1}};
  SustainRates(points);
  EXPECT_EQ(points[0].seconds, 100);
  EXPECT_NEAR(points[1].seconds, 20 * (3 * 40.0 + 120) / (3 * 20 + 40), 1e-12);
  EXPECT_NEAR(points[2].seconds, 40 * (3 * 40.0 + 120) / (3 * 20 + 40), 1e-12);
  EXPECT_EQ(points[3].seconds, 80);
}

TEST(SustainRates, SizeZeroHasNoRate) {
  std::vector<CostPoint> points = {{0, 5, 1}, {10, 10, 1}, {20, 40, 1}};
  SustainRates(points);
  EXPECT_EQ(points[0].seconds, 5);
  EXPECT_NEAR(points[1].seconds * 2, points[2].seconds, 1e-12);
  std::vector<CostPoint> none;
  SustainRates(none);
  EXPECT_TRUE(none.empty());
}

}  // namespace
}  // namespace weft
