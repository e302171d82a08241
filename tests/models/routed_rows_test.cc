#include "models/moe/routed_rows.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

namespace weft {
namespace {

constexpr uint64_t kSeed = 1234;
constexpr int32_t kWorld = 4;
// Sixteen sequences of 60 tokens, two micro-batches of two on each of four ranks.
constexpr BatchShape kBatch{2, 60, 2, 16};

ModelSpec Spec(int32_t experts, int32_t top_k) {
  ModelSpec spec;
  spec.num_layers = 4;
  spec.moe.num_experts = experts;
  spec.moe.top_k = top_k;
  spec.moe.every = 2;
  spec.moe.workload_period = 5;
  return spec;
}

std::vector<int32_t> CountOf(const RoutedRows& rows, const ModelSpec& spec, int32_t layer,
                             int32_t micro_batch, int32_t rank, RowRange tokens) {
  std::vector<int32_t> counts(static_cast<size_t>(spec.moe.num_experts), -1);
  rows.Count(layer, micro_batch, rank, tokens, counts);
  return counts;
}

TEST(WorkloadRowsTest, WhatIsTakenInTurnIsWhatARunRoutes) {
  for (const auto& [experts, top_k] : {std::pair(8, 2), std::pair(5, 3), std::pair(7, 7)}) {
    const ModelSpec spec = Spec(experts, top_k);
    for (const Workload workload : {Workload::kBalanced, Workload::kRaggedSources,
                                    Workload::kZeroLoadRanks, Workload::kBurst}) {
      for (const int64_t step : {0, 3}) {  // no burst in either
        const WorkloadRows rows(spec, kBatch, kWorld, kSeed, workload, step);
        for (int32_t layer = 1; layer < 4; layer += 2) {
          const ForcedRouting routing(spec.moe, kBatch.length, kSeed, layer);
          for (int32_t rank = 0; rank < kWorld; ++rank) {
            for (int32_t m = 0; m < 2; ++m) {
              const RoutedBatch batch{workload, step, rank * 4 + m * 2, 16};
              for (const RowRange tokens : {RowRange{0, 120}, RowRange{0, 7}, RowRange{50, 80}}) {
                std::vector<int32_t> expected(static_cast<size_t>(experts)),
                    chosen(static_cast<size_t>(top_k));
                for (int64_t t = tokens.begin; t < tokens.end; ++t) {
                  routing.Choose(batch, t, chosen);
                  for (const int32_t e : chosen) ++expected[static_cast<size_t>(e)];
                }
                EXPECT_EQ(CountOf(rows, spec, layer, m, rank, tokens), expected)
                    << std::string(Name(workload)) << " rank " << rank;
              }
            }
          }
        }
      }
    }
  }
}

// Where experts are drawn: each place's share of many choices is its probability, to five standard
// deviations.
TEST(PlaceSharesTest, AreTheFrequenciesOfDrawnChoices) {
  constexpr int64_t kLength = 20000;
  for (const auto& [experts, top_k] :
       {std::pair(8, 1), std::pair(8, 2), std::pair(8, 5), std::pair(4, 4)}) {
    MoeSpec moe = Spec(experts, top_k).moe;
    for (const Workload workload : {Workload::kHotExperts, Workload::kHotRank, Workload::kZipf}) {
      for (const double exponent : {0.0, 1.0, 2.0}) {
        moe.zipf_exponent = exponent;
        moe.hot_share = 0.5 + exponent / 4;  // 1: the others only where the hot ones are not enough
        const ForcedRouting routing(moe, kLength, kSeed, 0);
        const RoutedBatch batch{workload, 0, 0, 1};
        const std::vector<int64_t> load = routing.Load(batch, 1);
        const std::vector<double> shares = PlaceShares(moe, workload);
        EXPECT_NEAR(std::accumulate(shares.begin(), shares.end(), 0.0), top_k, 1e-9);
        for (int32_t place = 0; place < experts; ++place) {
          const double share = shares[static_cast<size_t>(place)];
          EXPECT_LE(share, 1 + 1e-9);
          const int32_t expert = routing.ExpertAt(batch, place);
          EXPECT_NEAR(static_cast<double>(load[static_cast<size_t>(expert)]), kLength * share,
                      5 * std::sqrt(kLength * std::max(0.0, share * (1 - share))) + 1e-6)
              << std::string(Name(workload)) << " place " << place << " of " << experts << ", k "
              << top_k;
        }
      }
    }
  }
}

// Two of three experts, weights 1, 1/2, 1/3: the first is one of them with probability
// 6/11 + 3/11 * (6/8) + 2/11 * (6/9).
TEST(PlaceSharesTest, ZipfByHand) {
  MoeSpec moe = Spec(3, 2).moe;
  moe.zipf_exponent = 1;
  EXPECT_NEAR(PlaceShares(moe, Workload::kZipf)[0], 6.0 / 11 + 3.0 / 11 * 6 / 8 + 2.0 / 11 * 6 / 9,
              1e-9);
  moe = Spec(512, 1).moe;
  moe.zipf_exponent = 1.5;
  double total = 0;
  for (int r = 1; r <= 512; ++r) total += std::pow(r, -1.5);
  const std::vector<double> shares = PlaceShares(moe, Workload::kZipf);
  EXPECT_NEAR(shares[0], 1 / total, 1e-9);
  EXPECT_NEAR(shares[511], std::pow(512, -1.5) / total, 1e-9);
}

TEST(WorkloadRowsTest, WhatIsDrawnAddsUpOnEveryRankAndOverTheRanks) {
  const ModelSpec spec = Spec(8, 2);
  for (const Workload workload :
       {Workload::kHotExperts, Workload::kHotRank, Workload::kSpreadHotExperts,
        Workload::kRotatingHotSpot, Workload::kBurst, Workload::kZipf}) {
    const int64_t step = 4;  // the last of the period of five: a burst
    const BatchShape batch{1, 25, 1, 400};
    const WorkloadRows rows(spec, batch, 400, kSeed, workload, step);
    const ForcedRouting routing(spec.moe, batch.length, kSeed, 1);
    const std::vector<double> shares = PlaceShares(spec.moe, workload);
    std::vector<int64_t> total(8, 0);
    for (int32_t rank = 0; rank < 400; ++rank) {
      const std::vector<int32_t> of_rank = CountOf(rows, spec, 1, 0, rank, {0, 25});
      EXPECT_EQ(std::accumulate(of_rank.begin(), of_rank.end(), 0), 50);
      for (size_t e = 0; e < 8; ++e) {
        EXPECT_GE(of_rank[e], 0);
        EXPECT_LE(of_rank[e], 25) << "a token chooses an expert once";
        total[e] += of_rank[e];
      }
    }
    for (int32_t place = 0; place < 8; ++place) {
      const int32_t expert = routing.ExpertAt({workload, step, 0, 400}, place);
      // 400 ranks of 25 tokens; the roundings of ranks make up for one another.
      EXPECT_NEAR(static_cast<double>(total[static_cast<size_t>(expert)]),
                  10000 * shares[static_cast<size_t>(place)], 10)
          << std::string(Name(workload));
    }
  }
}

TEST(CountedRowsTest, PartsOfTheTokensHavePartsOfTheRows) {
  const ModelSpec spec = Spec(2, 1);
  const BatchShape batch{1, 10, 1, 2};
  const CountedRows each(spec, batch, {{10, 0, 3, 7}, {5, 5, 0, 10}});
  EXPECT_EQ(CountOf(each, spec, 1, 0, 0, {0, 10}), (std::vector<int32_t>{10, 0}));
  EXPECT_EQ(CountOf(each, spec, 1, 0, 1, {0, 10}), (std::vector<int32_t>{3, 7}));
  EXPECT_EQ(CountOf(each, spec, 3, 0, 1, {0, 10}), (std::vector<int32_t>{0, 10}));
  EXPECT_EQ(CountOf(each, spec, 1, 0, 1, {0, 5}), (std::vector<int32_t>{1, 3}));
  EXPECT_EQ(CountOf(each, spec, 1, 0, 1, {5, 10}), (std::vector<int32_t>{2, 4}));
  const CountedRows one(spec, batch, {{10, 0, 3, 7}});
  EXPECT_EQ(CountOf(one, spec, 3, 0, 1, {0, 10}), (std::vector<int32_t>{3, 7}));
}

}  // namespace
}  // namespace weft
