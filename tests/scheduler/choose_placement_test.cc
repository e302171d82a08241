#include "scheduler/placement/choose_placement.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"

namespace weft {
namespace {

size_t At(int32_t rank, int32_t experts, int32_t expert) {
  return static_cast<size_t>(rank) * static_cast<size_t>(experts) + static_cast<size_t>(expert);
}

// Rows of every rank for every expert: popularity 1 / (place + 1)^s, the same on all ranks.
std::vector<int64_t> Zipf(int32_t ranks, int32_t experts, double s, int32_t rotated = 0) {
  std::vector<int64_t> rows(static_cast<size_t>(ranks) * static_cast<size_t>(experts));
  for (int32_t r = 0; r < ranks; ++r) {
    for (int32_t place = 0; place < experts; ++place) {
      const int32_t e = (place + rotated) % experts;
      rows[At(r, experts, e)] = std::llround(10000 * std::pow(place + 1, -s));
    }
  }
  return rows;
}

// What a placement makes of the rows, by the rule of SlotsFor, counted apart from the search.
struct Load {
  double busiest = 0, mean = 0;  // rows that arrive at a rank's experts
  double far = 0;                // rows that the busiest rank sends or receives
};

Load LoadOf(const Layout& layout, int32_t per_node, const ExpertPlacement& placement,
            const std::vector<int64_t>& rows) {
  const auto world = static_cast<size_t>(layout.world_size());
  std::vector<double> arrived(world), sent(world), received(world);
  for (int32_t r = 0; r < layout.world_size(); ++r) {
    const RankId rank{r};
    for (int32_t e = 0; e < placement.experts(); ++e) {
      const auto n = static_cast<double>(rows[At(r, placement.experts(), e)]);
      const std::vector<int32_t> slots = placement.SlotsFor(layout.ep_index(rank), e, per_node);
      for (const int32_t slot : slots) {
        const int32_t first =
            (layout.edp_index(rank) * layout.ep + placement.member(slot)) * layout.esp;
        const double part = n / static_cast<double>(slots.size());
        for (int32_t j = 0; j < layout.esp; ++j)
          arrived[static_cast<size_t>(first) + static_cast<size_t>(j)] += part;
        const int32_t to = first + layout.esp_index(rank);
        if (to == r) continue;
        sent[static_cast<size_t>(r)] += part;
        received[static_cast<size_t>(to)] += part;
      }
    }
  }
  Load load;
  for (size_t r = 0; r < world; ++r) {
    load.busiest = std::max(load.busiest, arrived[r]);
    load.mean += arrived[r] / static_cast<double>(world);
    load.far = std::max({load.far, sent[r], received[r]});
  }
  return load;
}

constexpr FollowLoad kCopies = {1, true, 1e-6, 1e-7, 1e-5};
constexpr FollowLoad kMoves = {1, false, 1e-6, 1e-7, 1e-5};

TEST(ChoosePlacementTest, EvenLoadStaysAtHome) {
  for (const Layout& layout : {Layout{1, 4, 1}, Layout{2, 2, 2}}) {
    const std::vector<int64_t> even(static_cast<size_t>(layout.world_size()) * 8, 500);
    EXPECT_TRUE(ChoosePlacement(layout, layout.ep, 8, kCopies, even).at_home());
    const std::vector<int64_t> none(even.size(), 0);
    EXPECT_TRUE(ChoosePlacement(layout, layout.ep, 8, kCopies, none).at_home());
  }
}

// 16 experts on 4 ranks, Zipf 1: at home the fullest rank has 2.46 times the mean.
TEST(ChoosePlacementTest, CopiesSpreadWhatIsHot) {
  const Layout layout{1, 4, 1};
  for (const int32_t per_node : {4, 2, 1}) {
    for (int32_t rotated = 0; rotated < 16; ++rotated) {
      const std::vector<int64_t> rows = Zipf(4, 16, 1.0, rotated);
      const Load home = LoadOf(layout, per_node, ExpertPlacement(16, 4), rows);
      if (rotated == 0) {
        EXPECT_NEAR(home.busiest / home.mean, 2.46, 0.01);
      }
      const ExpertPlacement p = ChoosePlacement(layout, per_node, 16, kCopies, rows);
      const Load load = LoadOf(layout, per_node, p, rows);
      EXPECT_LE(load.busiest, 1.05 * load.mean) << "rotated " << rotated;
      EXPECT_LE(p.most_moved(), 6);
    }
  }
}

// Without copies the hottest expert is 1.18 times what a rank should have.
TEST(ChoosePlacementTest, MovesGetAsNearAsOneExpertAllows) {
  const Layout layout{1, 4, 1};
  const std::vector<int64_t> rows = Zipf(4, 16, 1.0);
  const ExpertPlacement p = ChoosePlacement(layout, 4, 16, kMoves, rows);
  EXPECT_FALSE(p.has_copies());
  const Load load = LoadOf(layout, 4, p, rows);
  EXPECT_LE(load.busiest / load.mean, 1.20);
}

TEST(ChoosePlacementTest, WhatDoesNotPayStaysAtHome) {
  FollowLoad dear = kCopies;
  dear.move_seconds = 1;
  EXPECT_TRUE(ChoosePlacement({1, 4, 1}, 4, 16, dear, Zipf(4, 16, 1.0)).at_home());
}

// The search counts by expert and by difference; what it settles on must be worth it when counted
// from scratch, for uneven sources, groups and nodes.
TEST(ChoosePlacementTest, NeverWorseThanHomeWhateverTheRows) {
  const CounterRng rng(3, "rows");
  uint64_t draw = 0;
  for (const Layout& layout :
       {Layout{1, 4, 1}, Layout{1, 2, 2}, Layout{2, 3, 1}, Layout{1, 6, 1}, Layout{1, 1, 2}}) {
    for (int32_t per_node = 1; per_node <= layout.ep; ++per_node) {
      if (layout.ep % per_node != 0) continue;
      for (int trial = 0; trial < 20; ++trial) {
        const int32_t experts = layout.ep + static_cast<int32_t>(rng.Bits(draw++) % 9);
        std::vector<int64_t> rows;
        for (int32_t i = 0; i < layout.world_size() * experts; ++i) {
          const uint64_t bits = rng.Bits(draw++);
          rows.push_back(bits % 3 == 0 ? 0 : static_cast<int64_t>(bits / 3 % 1000));
        }
        FollowLoad terms = trial % 2 == 0 ? kCopies : kMoves;
        terms.far_row_seconds = trial % 5 * 1e-6;
        const auto cost = [&](const ExpertPlacement& p) {
          const Load load = LoadOf(layout, per_node, p, rows);
          return terms.row_seconds * load.busiest + terms.far_row_seconds * load.far +
                 terms.move_seconds * p.most_moved();
        };
        const ExpertPlacement p = ChoosePlacement(layout, per_node, experts, terms, rows);
        EXPECT_LE(cost(p), 1.02 * cost(ExpertPlacement(experts, layout.ep)));
        EXPECT_EQ(p, ChoosePlacement(layout, per_node, experts, terms, rows));
        EXPECT_TRUE(terms.copies || !p.has_copies());
      }
    }
  }
}

// The rows of who lives at each home.
std::vector<int64_t> ByHome(const std::vector<int64_t>& rows, const ExpertHomes& homes) {
  std::vector<int64_t> by_home(rows.size());
  const int32_t experts = homes.experts();
  for (int32_t r = 0; r < static_cast<int32_t>(rows.size()) / experts; ++r) {
    for (int32_t home = 0; home < experts; ++home)
      by_home[At(r, experts, home)] = rows[At(r, experts, homes.expert_at(home))];
  }
  return by_home;
}

// No member can have fewer experts than homes: the hottest lives with the three coldest, 1.42 times
// the mean.
TEST(ChooseHomesTest, TheHottestLiveWithTheColdest) {
  const Layout layout{1, 4, 1};
  const ExpertHomes configured(16);
  const std::vector<int64_t> rows = Zipf(4, 16, 1);
  const ExpertPlacement at_home(16, 4);
  const auto fullness = [&](const ExpertHomes& homes) {
    const Load load = LoadOf(layout, 4, at_home, ByHome(rows, homes));
    return load.busiest / load.mean;
  };
  EXPECT_NEAR(fullness(configured), 2.46, 0.01);
  const ExpertHomes homes = ChooseHomes(layout, 4, kMoves, rows, configured);
  EXPECT_NEAR(fullness(homes), 1.42, 0.01);
  const ExpertHomes again = ChooseHomes(layout, 4, kMoves, ByHome(rows, homes), homes);
  EXPECT_EQ(again, homes) << "nobody moves for nothing";
}

TEST(ChooseHomesTest, WhoIsNotSwappedStaysAtHome) {
  const Layout layout{1, 2, 2};
  // Two hot ones on member 0; of equal partners any will do.
  std::vector<int64_t> rows;
  for (int32_t r = 0; r < 4; ++r) rows.insert(rows.end(), {900, 100, 900, 100, 100, 100});
  const ExpertHomes homes = ChooseHomes(layout, 2, kMoves, rows, ExpertHomes(6));
  int32_t moved = 0;
  for (int32_t e = 0; e < 6; ++e) moved += homes.home_of(e) != e;
  EXPECT_EQ(moved, 2);
  EXPECT_NE(homes.home_of(0) < 3, homes.home_of(2) < 3) << "one of the two has moved";
}

TEST(ChooseHomesTest, AnEvenLoadMovesNobody) {
  const auto swapped = ExpertHomes::Make({7, 1, 2, 3, 4, 5, 6, 0});
  ASSERT_TRUE(swapped.ok());
  for (const Layout& layout : {Layout{1, 4, 1}, Layout{2, 2, 2}, Layout{1, 3, 1}}) {
    for (const int64_t each : {0, 500}) {
      const std::vector<int64_t> rows(static_cast<size_t>(layout.world_size()) * 8, each);
      if (layout.ep != 3) {
        EXPECT_EQ(ChooseHomes(layout, layout.ep, kMoves, rows, *swapped), *swapped);
      }
      // Homes are not spread evenly: whoever has three has more to do, wherever they live.
      const ExpertHomes homes = ChooseHomes(layout, layout.ep, kMoves, rows, ExpertHomes(8));
      EXPECT_TRUE(homes.as_configured());
    }
  }
}

}  // namespace
}  // namespace weft
