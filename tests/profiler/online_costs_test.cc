#include "profiler/online_costs.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/random.h"
#include "profiler/linear_fit.h"

namespace weft {
namespace {

constexpr double kAlpha = 5e-5;
constexpr double kBeta = 1e-9;

double Line(double size) { return kAlpha + kBeta * size; }
double Line(const LinearCost& fit, double size) { return fit.alpha + fit.beta * size; }

CostKey DispatchKey() {
  CostKey key;
  key.kind = OpKind::kDispatch;
  key.group = GroupKind::kEp;
  key.group_size = 2;
  key.link = LinkClass::kInterNode;
  return CalibrationKey(key);
}

ProfileTable Calibrated() {
  ProfileTable table;
  table.machine_fingerprint = 77;
  for (int i = 14; i <= 24; ++i) {
    const double size = std::ldexp(1.0, i);
    table.entries[DispatchKey()].samples.push_back({size, Line(size)});
  }
  FitTable(table);
  return table;
}

LinearCost FitOf(const OnlineCosts& costs) { return costs.Refresh().entries.at(DispatchKey()).fit; }

TEST(OnlineCosts, WithoutLiveSamplesIsTheCalibration) {
  const ProfileTable calibration = Calibrated();
  const OnlineCosts costs(calibration);
  const ProfileTable refreshed = costs.Refresh();
  EXPECT_EQ(refreshed.machine_fingerprint, 77u);
  const CostEntry& entry = refreshed.entries.at(DispatchKey());
  EXPECT_EQ(entry.samples.size(), calibration.entries.at(DispatchKey()).samples.size());
  EXPECT_NEAR(entry.fit.alpha, kAlpha, kAlpha * 1e-6);
  EXPECT_NEAR(entry.fit.beta, kBeta, kBeta * 1e-6);
  EXPECT_EQ(costs.DriftOf(DispatchKey()), 1);
}

TEST(OnlineCosts, KeepsWhatATaskCostsAlone) {
  ProfileTable calibration = Calibrated();
  calibration.contention.stretch[2] = {0.5, 1, 0};
  OnlineCosts costs(calibration);
  const double size = std::ldexp(1.0, 20);
  // A tenth of the time at 1/2.5 of the speed, and so on: 1 / (0.27 + 0.63/1.5 + 0.03/2 +
  // 0.07/2.5).
  const double stretched = 1 / 0.733;
  KeyedSample sample{
      DispatchKey(), {size, Line(size) * stretched}, StreamKind::kInter, {0.7, 0.1, 0}};
  for (int64_t step = 0; step < 100; ++step) costs.Record(step, std::vector(4, sample));
  EXPECT_NEAR(costs.DriftOf(DispatchKey()), 1, 1e-9);
  EXPECT_EQ(costs.Refresh().contention, calibration.contention);
  // The same seconds with nothing beside are a drift.
  sample.beside = {};
  for (int64_t step = 100; step < 1000; ++step) costs.Record(step, std::vector(4, sample));
  EXPECT_NEAR(costs.DriftOf(DispatchKey()), stretched, 0.02);
}

TEST(OnlineCosts, WhatRunsBesideStretchesAsUnderThePlansLimit) {
  ProfileTable calibration = Calibrated();
  calibration.contention.stretch[2] = {1, 0, 0};
  calibration.limited_contention[8].stretch[2] = {3, 0, 0};
  const double size = std::ldexp(1.0, 20);
  const auto live = [&](int32_t sm_limit) {
    OnlineCosts costs(calibration);
    CostKey key = DispatchKey();
    key.sm_limit = 1;  // never calibrated: the table has what was recorded alone
    const KeyedSample sample{key, {size, 4e-3}, StreamKind::kInter, {1, 0, 0}};
    costs.Record(1, {&sample, 1}, sm_limit);
    EXPECT_EQ(costs.Refresh().limited_contention, calibration.limited_contention);
    return costs.Refresh().entries.at(key).samples.front().seconds;
  };
  EXPECT_NEAR(live(0), 2e-3, 1e-9);
  EXPECT_NEAR(live(8), 1e-3, 1e-9);
  EXPECT_NEAR(live(16), 2e-3, 1e-9) << "not measured: as without";
}

TEST(OnlineCosts, FollowsADriftSeenAtOneSizeOnly) {
  OnlineCosts costs(Calibrated());
  const double size = std::ldexp(1.0, 20);
  const std::vector<KeyedSample> samples(4, {DispatchKey(), {size, 1.5 * Line(size)}});
  for (int64_t step = 0; step < 100; ++step) costs.Record(step, samples);
  EXPECT_NEAR(costs.DriftOf(DispatchKey()), 1.5, 0.02);
  const LinearCost fit = FitOf(costs);
  EXPECT_TRUE(fit.accepted);
  for (const int power : {14, 18, 20, 22, 24}) {
    const double at = std::ldexp(1.0, power);
    EXPECT_NEAR(Line(fit, at) / Line(at), 1.5, 0.03) << "2^" << power;
  }
}

// Counts that wait for a busy processor say nothing of how long a megabyte takes.
TEST(OnlineCosts, TinyMessagesTellOfTheLatencyOnly) {
  OnlineCosts costs(Calibrated());
  const double late = 20 * Line(32);
  for (int64_t step = 0; step < 100; ++step) {
    const std::vector<KeyedSample> samples = {{DispatchKey(), {32, late}}};
    costs.Record(step, samples);
  }
  const CostEntry entry = costs.Refresh().entries.at(DispatchKey());
  for (const CostSample& sample : entry.samples) {
    if (sample.size < 1e5) continue;
    EXPECT_LE(sample.seconds, 1.05 * (Line(sample.size) + late)) << sample.size;
    EXPECT_GE(sample.seconds, Line(sample.size)) << sample.size;
  }
}

TEST(OnlineCosts, NoiseAtTwoNearbySizesDoesNotTiltTheLine) {
  OnlineCosts costs(Calibrated());
  const CounterRng rng(7, "noise");
  uint64_t draw = 0;
  for (int64_t step = 0; step < 200; ++step) {
    std::vector<KeyedSample> samples;
    for (const double size : {1.0e6, 1.1e6}) {
      const double bias = size > 1.05e6 ? 0.95 : 1.05;  // an outright wrong local slope
      const double noise = 1 + 0.05 * static_cast<double>(rng.Normal(draw++));
      samples.push_back({DispatchKey(), {size, bias * noise * Line(size)}});
    }
    costs.Record(step, samples);
  }
  const LinearCost fit = FitOf(costs);
  for (const int power : {14, 18, 22, 24}) {
    const double at = std::ldexp(1.0, power);
    EXPECT_NEAR(Line(fit, at) / Line(at), 1, 0.05) << "2^" << power;
  }
}

TEST(OnlineCosts, ForgetsWhatIsOld) {
  OnlineOptions options;
  options.half_life_steps = 5;
  OnlineCosts costs(Calibrated(), options);
  const double size = 1e6;
  const auto record = [&](int64_t first, int64_t last, double factor) {
    const std::vector<KeyedSample> samples = {{DispatchKey(), {size, factor * Line(size)}}};
    for (int64_t step = first; step < last; ++step) costs.Record(step, samples);
  };
  record(0, 50, 3);
  const double slow = costs.DriftOf(DispatchKey());
  EXPECT_GT(slow, 2.3);
  record(50, 100, 1);
  EXPECT_NEAR(costs.DriftOf(DispatchKey()), 1, 0.01);
}

TEST(OnlineCosts, AKeyThatTheJobNoLongerUsesReturnsToItsCalibration) {
  OnlineOptions options;
  options.half_life_steps = 1;
  OnlineCosts costs(Calibrated(), options);
  CostKey other;
  other.kind = OpKind::kExpert;
  const std::vector<KeyedSample> slow = {{DispatchKey(), {1e6, 3 * Line(1e6)}}};
  const std::vector<KeyedSample> expert = {{other, {1e6, 1e-3}}};
  costs.Record(1, slow);
  costs.Record(2'000'000, expert);
  EXPECT_NEAR(costs.DriftOf(DispatchKey()), 1, 1e-6);
  EXPECT_NEAR(FitOf(costs).alpha, kAlpha, kAlpha * 1e-3);
  EXPECT_NEAR(FitOf(costs).beta, kBeta, kBeta * 1e-3);
}

TEST(OnlineCosts, FitsAKeyThatWasNeverCalibrated) {
  OnlineCosts costs(ProfileTable{});
  for (int64_t step = 0; step < 5; ++step) {
    std::vector<KeyedSample> samples;
    for (const double size : {0.0, 1e5, 4e5, 1e6}) {
      samples.push_back({DispatchKey(), {size, Line(size)}});
    }
    costs.Record(step, samples);
  }
  EXPECT_EQ(costs.DriftOf(DispatchKey()), 1);
  const CostEntry entry = costs.Refresh().entries.at(DispatchKey());
  EXPECT_EQ(entry.samples.size(), 4u);
  EXPECT_NEAR(entry.fit.alpha, kAlpha, kAlpha * 1e-6);
  EXPECT_NEAR(entry.fit.beta, kBeta, kBeta * 1e-6);
  EXPECT_TRUE(entry.fit.accepted);
}

TEST(OnlineCosts, LongUnseenKeysKeepTheirMeans) {
  OnlineOptions options;
  options.half_life_steps = 1;
  OnlineCosts costs(ProfileTable{}, options);
  CostKey other;
  other.kind = OpKind::kExpert;
  const std::vector<KeyedSample> once = {{DispatchKey(), {100, 2e-3}}};
  const std::vector<KeyedSample> later = {{other, {1e6, 1e-3}}};
  costs.Record(0, once);
  costs.Record(5'000'000, later);
  const CostEntry entry = costs.Refresh().entries.at(DispatchKey());
  ASSERT_EQ(entry.samples.size(), 1u);
  EXPECT_NEAR(entry.samples[0].seconds, 2e-3, 1e-12);
}

TEST(OnlineCosts, IgnoresWhatIsNotAMeasurement) {
  OnlineCosts costs(ProfileTable{});
  const double nan = std::nan("");
  const double infinity = std::numeric_limits<double>::infinity();
  const std::vector<KeyedSample> bad = {
      {DispatchKey(), {1, 0}},       {DispatchKey(), {1, -1}}, {DispatchKey(), {nan, 1}},
      {DispatchKey(), {1, nan}},     {DispatchKey(), {-1, 1}}, {DispatchKey(), {1, infinity}},
      {DispatchKey(), {infinity, 1}}};
  costs.Record(1, bad);
  EXPECT_TRUE(costs.Refresh().entries.empty());
}

TEST(OnlineCosts, SamplesAreBoundedAndAscending) {
  OnlineCosts costs(Calibrated());
  const CounterRng rng(1, "sizes");
  std::vector<KeyedSample> samples;
  for (uint64_t i = 0; i < 20000; ++i) {
    samples.push_back({DispatchKey(), {std::exp2(70 * rng.Uniform(i)) - 1, 1e-3}});
  }
  costs.Record(1, samples);
  const std::vector<CostSample> kept = costs.Refresh().entries.at(DispatchKey()).samples;
  EXPECT_LE(kept.size(), 257u);
  for (size_t i = 1; i < kept.size(); ++i) EXPECT_LT(kept[i - 1].size, kept[i].size);
}

TEST(OnlineCosts, SameSamplesSameTable) {
  const auto run = [] {
    OnlineCosts costs(Calibrated());
    const CounterRng rng(3, "x");
    for (int64_t step = 0; step < 30; ++step) {
      std::vector<KeyedSample> samples;
      for (uint64_t i = 0; i < 10; ++i) {
        const double size = 1e6 * (1 + rng.Uniform(static_cast<uint64_t>(step) * 10 + i));
        samples.push_back({DispatchKey(), {size, Line(size) * (1 + 0.1 * rng.Uniform(i))}});
      }
      costs.Record(step, samples);
    }
    return costs.Refresh();
  };
  EXPECT_EQ(run(), run());
}

}  // namespace
}  // namespace weft
