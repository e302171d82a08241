#include "models/moe/forced_routing.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "base/fingerprint.h"
#include "gtest/gtest.h"

namespace weft {
namespace {

constexpr int64_t kSequences = 32;
constexpr int64_t kLength = 64;
constexpr int64_t kTokens = kSequences * kLength;
constexpr uint64_t kSeed = 1234;

constexpr Workload kAll[] = {
    Workload::kBalanced,         Workload::kHotExperts,    Workload::kHotRank,
    Workload::kSpreadHotExperts, Workload::kRaggedSources, Workload::kZeroLoadRanks,
    Workload::kRotatingHotSpot,  Workload::kBurst,         Workload::kZipf};

MoeSpec Spec(int32_t experts, int32_t top_k) {
  MoeSpec moe;
  moe.num_experts = experts;
  moe.top_k = top_k;
  return moe;
}

std::vector<int64_t> LoadOf(const MoeSpec& moe, Workload workload, int64_t step = 0,
                            int32_t layer = 0) {
  return ForcedRouting(moe, kLength, kSeed, layer)
      .Load({workload, step, 0, kSequences}, kSequences);
}

int64_t Sum(std::span<const int64_t> load) {
  return std::accumulate(load.begin(), load.end(), int64_t{0});
}

// Five standard deviations of `count` draws of probability p: a seed that misses it is a bug.
double Slack(double count, double p) { return 5 * std::sqrt(count * p * (1 - p)); }

TEST(ForcedRoutingTest, NamesAndWorkloadsAreOneToOne) {
  ASSERT_EQ(WorkloadNames().size(), std::size(kAll));
  for (const Workload workload : kAll) {
    EXPECT_EQ(WorkloadOf(Name(workload)), workload);
    EXPECT_EQ(DescribeWorkload(workload, MoeSpec{}).find(Name(workload)), 0u);
  }
  EXPECT_EQ(WorkloadOf("w8"), std::nullopt);
}

TEST(ForcedRoutingTest, ATokensExpertsExistAndDiffer) {
  for (const auto& [experts, top_k] :
       {std::pair(1, 1), std::pair(2, 2), std::pair(5, 3), std::pair(8, 2), std::pair(7, 7)}) {
    MoeSpec moe = Spec(experts, top_k);
    for (const double share : {0.0, 0.75, 1.0}) {
      moe.hot_share = share;
      const ForcedRouting routing(moe, kLength, kSeed, 3);
      std::vector<int32_t> chosen(static_cast<size_t>(top_k));
      for (const Workload workload : kAll) {
        for (int64_t token = 0; token < kTokens; token += 7) {
          routing.Choose({workload, token % 23, 0, kSequences}, token, chosen);
          const std::set<int32_t> different(chosen.begin(), chosen.end());
          ASSERT_EQ(std::ssize(different), top_k) << Name(workload);
          ASSERT_GE(*different.begin(), 0);
          ASSERT_LT(*different.rbegin(), experts);
        }
      }
    }
  }
}

// Whose batch a token stands in does not matter, only which sequence of the step it is of.
TEST(ForcedRoutingTest, TheSameTokenHasTheSameExpertsInEveryBatch) {
  const ForcedRouting routing(Spec(8, 2), kLength, kSeed, 0);
  std::vector<int32_t> whole(2), part(2);
  for (const Workload workload : kAll) {
    for (const int64_t sequence : {0, 5, 31}) {
      for (const int64_t first : {int64_t{0}, sequence / 2, sequence}) {
        const int64_t token = sequence * kLength + 11;
        routing.Choose({workload, 9, 0, kSequences}, token, whole);
        routing.Choose({workload, 9, first, kSequences}, token - first * kLength, part);
        EXPECT_EQ(part, whole) << Name(workload);
      }
    }
  }
}

TEST(ForcedRoutingTest, BalancedGivesAllTheSame) {
  for (const int64_t step : {0, 1, 17}) {
    EXPECT_EQ(LoadOf(Spec(8, 2), Workload::kBalanced, step),
              std::vector<int64_t>(8, 2 * kTokens / 8));
  }
  const std::vector<int64_t> uneven = LoadOf(Spec(7, 3), Workload::kBalanced);
  EXPECT_LE(*std::max_element(uneven.begin(), uneven.end()) -
                *std::min_element(uneven.begin(), uneven.end()),
            1);
}

TEST(ForcedRoutingTest, HotExpertsGetTheirShareWhereverTheyAre) {
  const MoeSpec moe = Spec(16, 2);
  ASSERT_EQ(HotExperts(moe), 4);
  const double choices = 2 * kTokens;
  const double hot_each = choices * 0.75 / 4, cold_each = choices * 0.25 / 12;
  std::set<std::set<int64_t>> drawn;
  for (const Workload workload :
       {Workload::kHotExperts, Workload::kHotRank, Workload::kSpreadHotExperts}) {
    for (const int32_t layer : {0, 1, 2}) {
      const std::vector<int64_t> load = LoadOf(moe, workload, 4, layer);
      std::set<int64_t> hot;
      int64_t hot_load = 0;
      for (int64_t e = 0; e < 16; ++e) {
        const auto rows = static_cast<double>(load[static_cast<size_t>(e)]);
        if (rows > (hot_each + cold_each) / 2) {
          hot.insert(e);
          hot_load += load[static_cast<size_t>(e)];
          EXPECT_NEAR(rows, hot_each, Slack(choices, 0.75 / 4)) << Name(workload) << " " << e;
        } else {
          EXPECT_NEAR(rows, cold_each, Slack(choices, 0.25 / 12)) << Name(workload) << " " << e;
        }
      }
      EXPECT_EQ(Sum(load), 2 * kTokens);
      EXPECT_NEAR(static_cast<double>(hot_load), 0.75 * choices, Slack(choices, 0.75));
      if (workload == Workload::kHotExperts) drawn.insert(hot);
      if (workload == Workload::kHotRank) {
        EXPECT_EQ(hot, (std::set<int64_t>{0, 1, 2, 3}));
      }
      if (workload == Workload::kSpreadHotExperts) {
        EXPECT_EQ(hot, (std::set<int64_t>{0, 4, 8, 12}));
      }
      EXPECT_EQ(hot.size(), 4u);
    }
  }
  EXPECT_GT(drawn.size(), 1u) << "every layer draws its own hot experts";
}

TEST(ForcedRoutingTest, AnExhaustedClassGivesWay) {
  MoeSpec moe = Spec(4, 3);
  moe.hot_experts = 1;
  moe.hot_share = 1;
  // The hot one every time, and two of the other three.
  const std::vector<int64_t> load = LoadOf(moe, Workload::kHotRank);
  EXPECT_EQ(load[0], kTokens);
  for (size_t e = 1; e < 4; ++e) {
    EXPECT_NEAR(static_cast<double>(load[e]), 2.0 / 3 * kTokens, Slack(kTokens, 2.0 / 3));
  }
}

TEST(ForcedRoutingTest, RaggedSourcesLoadAllExpertsAlikeFromOneQuarterEach) {
  const MoeSpec moe = Spec(8, 2);
  EXPECT_EQ(LoadOf(moe, Workload::kRaggedSources), std::vector<int64_t>(8, 2 * kTokens / 8));
  const ForcedRouting routing(moe, kLength, kSeed, 0);
  const int32_t first_expert[] = {0, 6, 2, 4};  // of the quarters of the batch
  std::vector<int32_t> chosen(2);
  for (int64_t token = 0; token < kTokens; ++token) {
    routing.Choose({Workload::kRaggedSources, 3, 0, kSequences}, token, chosen);
    const int32_t first = first_expert[4 * token / kTokens];
    std::sort(chosen.begin(), chosen.end());
    ASSERT_EQ(chosen, (std::vector<int32_t>{first, first + 1})) << token;
  }
}

TEST(ForcedRoutingTest, TheUpperHalfOfTheExpertsCanBeIdle) {
  EXPECT_EQ(LoadOf(Spec(8, 2), Workload::kZeroLoadRanks),
            (std::vector<int64_t>{1024, 1024, 1024, 1024, 0, 0, 0, 0}));
  EXPECT_EQ(LoadOf(Spec(4, 3), Workload::kZeroLoadRanks),
            (std::vector<int64_t>{2048, 2048, 2048, 0}));
}

TEST(ForcedRoutingTest, TheHotSpotRotatesAndTheBurstEnds) {
  MoeSpec moe = Spec(8, 2);
  moe.workload_period = 5;
  const auto hottest = [&](Workload workload, int64_t step) {
    const std::vector<int64_t> load = LoadOf(moe, workload, step);
    std::vector<int64_t> hot;
    for (int64_t e = 0; e < 8; ++e) {
      if (load[static_cast<size_t>(e)] > 1000) hot.push_back(e);
    }
    return hot;
  };
  using Hot = std::vector<int64_t>;
  EXPECT_EQ(hottest(Workload::kRotatingHotSpot, 0), (Hot{0, 1}));
  EXPECT_EQ(hottest(Workload::kRotatingHotSpot, 4), (Hot{0, 1}));
  EXPECT_EQ(hottest(Workload::kRotatingHotSpot, 5), (Hot{2, 3}));
  EXPECT_EQ(hottest(Workload::kRotatingHotSpot, 19), (Hot{6, 7}));
  EXPECT_EQ(hottest(Workload::kRotatingHotSpot, 20), (Hot{0, 1}));
  for (const int32_t period : {1, 5, 6, 10}) {
    moe.workload_period = period;
    const int32_t burst = (period + 4) / 5;
    for (int64_t step = 0; step < 2 * period; ++step) {
      const bool bursting = step % period >= period - burst;
      EXPECT_EQ(hottest(Workload::kBurst, step), bursting ? (Hot{0, 1}) : Hot{}) << step;
    }
  }
}

// Neighbours that are popular together: of 16 experts over 4 ranks the first have 2.46 times the
// mean.
TEST(ForcedRoutingTest, ZipfInOrderLoadsTheFirstRank) {
  MoeSpec moe = Spec(16, 1);
  moe.zipf_in_order = true;
  const std::vector<int64_t> load = LoadOf(moe, Workload::kZipf);
  const double share = 2.465 / 4;
  EXPECT_NEAR(static_cast<double>(load[0] + load[1] + load[2] + load[3]), share * kTokens,
              Slack(kTokens, share));
  EXPECT_EQ(std::max_element(load.begin(), load.end()), load.begin());
  moe.zipf_in_order = false;
  EXPECT_NE(LoadOf(moe, Workload::kZipf), load);
}

TEST(ForcedRoutingTest, ZipfFollowsItsExponent) {
  MoeSpec moe = Spec(8, 1);
  for (const double exponent : {0.0, 1.0, 1.5}) {
    moe.zipf_exponent = exponent;
    std::vector<int64_t> load = LoadOf(moe, Workload::kZipf);
    EXPECT_EQ(Sum(load), kTokens);
    if (exponent > 0) std::sort(load.rbegin(), load.rend());
    double total = 0;
    for (int r = 1; r <= 8; ++r) total += std::pow(r, -exponent);
    for (int r = 1; r <= 8; ++r) {
      const double p = std::pow(r, -exponent) / total;
      EXPECT_NEAR(static_cast<double>(load[static_cast<size_t>(r - 1)]), p * kTokens,
                  Slack(kTokens, p));
    }
  }
  // Two of three experts, weights 1, 1/2, 1/3: the first is one of them with probability
  // 6/11 + 3/11 * (6/8) + 2/11 * (6/9).
  moe = Spec(3, 2);
  std::vector<int64_t> load = LoadOf(moe, Workload::kZipf);
  std::sort(load.rbegin(), load.rend());
  const double first = 6.0 / 11 + 3.0 / 11 * 6 / 8 + 2.0 / 11 * 6 / 9;
  EXPECT_NEAR(static_cast<double>(load[0]), first * kTokens, Slack(kTokens, first));
}

TEST(ForcedRoutingTest, SeedStepAndLayerDrawAnew) {
  const auto digest = [](uint64_t seed, int64_t step, int32_t layer, Workload workload) {
    const ForcedRouting routing(Spec(8, 2), kLength, seed, layer);
    std::vector<int32_t> chosen(2);
    uint64_t all = 0;
    for (int64_t token = 0; token < kTokens; ++token) {
      routing.Choose({workload, step, 0, kSequences}, token, chosen);
      all = CombineFingerprints(
          all, uint64_t{8} * static_cast<uint64_t>(chosen[0]) + static_cast<uint64_t>(chosen[1]));
    }
    return all;
  };
  for (const Workload workload :
       {Workload::kHotExperts, Workload::kHotRank, Workload::kSpreadHotExperts, Workload::kZipf}) {
    const uint64_t one = digest(1, 0, 0, workload);
    EXPECT_EQ(digest(1, 0, 0, workload), one);
    EXPECT_NE(digest(2, 0, 0, workload), one);
    EXPECT_NE(digest(1, 1, 0, workload), one);
    EXPECT_NE(digest(1, 0, 1, workload), one);
  }
}

}  // namespace
}  // namespace weft
