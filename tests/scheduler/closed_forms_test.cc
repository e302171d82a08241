#include "scheduler/closed_forms.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <vector>

#include "base/random.h"
#include "scheduler/layer.h"

namespace weft {
namespace {

LayerTimes RandomTimes(const CounterRng& random, uint64_t& draw, bool equal_intra) {
  const auto time = [&] { return std::pow(10, 2 * random.Uniform(draw++) - 1); };
  LayerTimes times;
  times.a = time();
  times.g = time();
  times.e = time();
  times.s = equal_intra ? times.g : time();
  times.gamma = random.Bits(draw++) % 2 == 0 ? 0 : 4 * time();
  return times;
}

TEST(ClosedFormsTest, EightTermsAreTheSimulatedMakespan) {
  const CounterRng random(1, "closed_forms");
  uint64_t draw = 0;
  int mismatches = 0;
  for (int i = 0; i < 100'000; ++i) {
    const LayerTimes times = RandomTimes(random, draw, false);
    const int32_t r = 1 + static_cast<int32_t>(random.Bits(draw++) % 8);
    const double simulated =
        SimulateLayer(StagesOf(times), times.gamma, r, LayerOrder::kGathersFirst).seconds;
    mismatches += std::abs(PipelineSeconds(times, r) - simulated) > 1e-9 * simulated;
  }
  EXPECT_EQ(mismatches, 0);
}

TEST(ClosedFormsTest, FourCasesAreEnoughWhenGatherAndScatterCostTheSame) {
  const CounterRng random(2, "closed_forms");
  uint64_t draw = 0;
  for (int i = 0; i < 20'000; ++i) {
    const LayerTimes times = RandomTimes(random, draw, true);
    const int32_t r = 1 + static_cast<int32_t>(random.Bits(draw++) % 16);
    const double largest = CaseTimes(times, r)[static_cast<size_t>(CaseLabel(times, r)) - 1];
    ASSERT_NEAR(PipelineSeconds(times, r), largest, 1e-9 * largest);
  }
}

TEST(ClosedFormsTest, FourCasesAreTooFewOtherwise) {
  const LayerTimes times{3, 1, 1, 5, 0};  // the fifth term decides: (r + 1) a + g + r s
  EXPECT_DOUBLE_EQ(SimulateLayer(StagesOf(times), 0, 4, LayerOrder::kGathersFirst).seconds, 36);
  EXPECT_DOUBLE_EQ(PipelineSeconds(times, 4), 36);
  EXPECT_EQ(CaseTimes(times, 4), (std::array<double, 4>{24, 16, 30, 30}));
}

TEST(ClosedFormsTest, OneStreamIsTheSimulatedMakespan) {
  const CounterRng random(3, "closed_forms");
  uint64_t draw = 0;
  for (int i = 0; i < 100'000; ++i) {
    const LayerTimes times = RandomTimes(random, draw, false);
    const int32_t r = 1 + static_cast<int32_t>(random.Bits(draw++) % 8);
    const std::vector<Stage> stages = {{OpKind::kDispatch, StreamKind::kInter, times.a + times.g},
                                       {OpKind::kExpert, StreamKind::kCompute, times.e},
                                       {OpKind::kCombine, StreamKind::kInter, times.a + times.s}};
    const double simulated = SimulateLayer(stages, 0, r, LayerOrder::kGathersFirst).seconds;
    ASSERT_NEAR(OneStreamSeconds(times, r), simulated, 1e-9 * simulated);
    ASSERT_NEAR(OneStreamSeconds(times, r),
                SimulateLayer(StagesOf(times), 0, r, LayerOrder::kOneCommunicationStream).seconds,
                1e-9 * simulated);
  }
}

// FSMoE's Testbed A, milliseconds; per element or multiply-accumulate. G = 8, K = 2.4, B = 4, L =
// 1024.
struct Workload {
  double model_width;
  double expert_width;
  int gemms;
  bool backward;
  double dense_elements;  // of the gradient; 0 in forward
};

LayerTimes TimesOf(const Workload& work, int32_t r) {
  constexpr double kRanks = 8;
  const double rows = 2.4 * 4 * 1024;
  const double gathered = rows * work.model_width;
  const double macs = gathered * work.expert_width / kRanks;
  const double gemms = work.gemms * (work.backward ? 2 : 1);
  LayerTimes times;
  times.a = .28745790958 + gathered / kRanks / r * 2.3201445211e-6;
  times.g = .33789345076 + gathered / r * 2.3477633843e-7;
  times.s = .39538829900 + gathered / r * 2.2171110136e-7;
  times.e = gemms * (4.26e-2 + macs / r * 9.16e-11);
  if (work.backward) times.gamma = .51136532051 + work.dense_elements * 4.9511764052e-6;
  return times;
}

struct Golden {
  Workload work;
  int32_t r;
  double a, g, e, s, t1, t2, t3, t4, seconds;
  bool best;
};

constexpr Workload kGptForward = {1600, 6400, 2, false, 0};
constexpr Workload kGptBackward = {1600, 6400, 2, true, 4.0 * 1600 * 1600 / 8};
constexpr Workload kMixtralForward = {4096, 14336, 3, false, 0};
constexpr Workload kMixtralBackward = {4096, 14336, 3, true, 2.5 * 4096 * 4096 / 8};

TEST(ClosedFormsTest, GoldenTable) {
  const std::vector<Golden> table = {
      {kGptForward, 1, 4.849, 4.031, 2.390, 3.883, 9.698, 20.002, 17.611, 17.611, 20.002, false},
      {kGptForward, 2, 2.568, 2.184, 1.238, 2.139, 10.273, 11.935, 14.596, 13.783, 14.596, false},
      {kGptForward, 4, 1.428, 1.261, 0.661, 1.267, 11.423, 8.030, 13.951, 12.969, 13.951, true},
      {kGptForward, 8, 0.858, 0.799, 0.373, 0.831, 13.723, 6.333, 15.353, 14.761, 15.353, false},
      {kGptBackward, 2, 2.568, 2.184, 2.476, 2.139, 17.122, 14.411, 14.596, 13.783, 17.122, true},
      {kMixtralForward, 4, 3.207, 2.701, 5.085, 2.627, 25.655, 32.082, 30.983, 27.727, 32.082,
       false},
      {kMixtralForward, 6, 2.234, 1.913, 3.433, 1.883, 26.805, 28.859, 30.602, 27.248, 30.602,
       true},
      {kMixtralForward, 8, 1.747, 1.520, 2.606, 1.511, 27.955, 27.376, 30.986, 27.741, 30.986,
       false},
      {kMixtralBackward, 4, 3.207, 2.701, 10.170, 2.627, 52.125, 52.421, 30.983, 27.727, 52.421,
       true},
      {kMixtralBackward, 8, 1.747, 1.520, 5.213, 1.511, 54.424, 48.227, 30.986, 27.741, 54.424,
       false},
  };
  constexpr double kPrinted = 6e-4;  // the table has three decimals
  for (const Golden& row : table) {
    const LayerTimes times = TimesOf(row.work, row.r);
    EXPECT_NEAR(times.a, row.a, kPrinted);
    EXPECT_NEAR(times.g, row.g, kPrinted);
    EXPECT_NEAR(times.e, row.e, kPrinted);
    EXPECT_NEAR(times.s, row.s, kPrinted);
    const std::array<double, 4> cases = CaseTimes(times, row.r);
    EXPECT_NEAR(cases[0], row.t1, kPrinted);
    EXPECT_NEAR(cases[1], row.t2, kPrinted);
    EXPECT_NEAR(cases[2], row.t3, kPrinted);
    EXPECT_NEAR(cases[3], row.t4, kPrinted);
    EXPECT_NEAR(PipelineSeconds(times, row.r), row.seconds, kPrinted);
    EXPECT_NEAR(
        SimulateLayer(StagesOf(times), times.gamma, row.r, LayerOrder::kGathersFirst).seconds,
        row.seconds, kPrinted);
    if (!row.best) continue;
    for (int32_t r = 1; r <= 16; ++r) {
      EXPECT_GE(PipelineSeconds(TimesOf(row.work, r), r), PipelineSeconds(times, row.r)) << r;
    }
  }
  EXPECT_EQ(CaseLabel(TimesOf(kGptForward, 1), 1), 2);
  EXPECT_EQ(CaseLabel(TimesOf(kGptForward, 4), 4), 3);
  EXPECT_EQ(CaseLabel(TimesOf(kGptBackward, 2), 2), 1);
  EXPECT_EQ(CaseLabel(LayerTimes{1, 9, 1, 9, 0}, 4), 4);
}

}  // namespace
}  // namespace weft
