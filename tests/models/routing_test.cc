#include "models/moe/routing.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "models/layer_cut.h"
#include "models/parameters.h"

namespace weft {
namespace {

// A row says where it came from: whatever moves rows must keep them whole and in order.
struct Token {
  int32_t source = -1;  // rank within the replica: ep_index * ESP + esp_index
  int32_t expert = -1;
  int64_t row = -1;  // in the block of (source, expert)
  friend bool operator==(const Token&, const Token&) = default;
};

// All ranks of one replica with their counts, and what the two orders say about the forward.
class World {
 public:
  World(const Layout& layout, int32_t num_experts, const LayerCut& cut, const std::string& seed)
      : layout_(layout),
        num_experts_(num_experts),
        cut_(cut),
        counts_(static_cast<size_t>(ranks())) {
    const CounterRng rng(7, seed);
    uint64_t draw = 0;
    for (auto& counts : counts_) {
      for (int32_t i = 0; i < num_experts * cut.segments(); ++i) {
        // One block in three is empty; the others are often shorter than the degree.
        const uint64_t bits = rng.Bits(draw++);
        counts.push_back(bits % 3 == 0 ? 0 : static_cast<int32_t>(bits / 3 % 12));
      }
    }
  }

  int32_t ranks() const { return layout_.ep * layout_.esp; }
  int32_t degree() const { return cut_.of(Direction::kForward).degree; }
  void Clear(int32_t rank) { std::fill(of(rank).begin(), of(rank).end(), 0); }
  std::vector<int32_t>& of(int32_t rank) { return counts_[static_cast<size_t>(rank)]; }
  int64_t rows(int32_t rank, int32_t expert) {
    int64_t sum = 0;
    for (int32_t s = 0; s < cut_.segments(); ++s)
      sum += of(rank)[static_cast<size_t>(s) * static_cast<size_t>(num_experts_) +
                      static_cast<size_t>(expert)];
    return sum;
  }
  int32_t rank(int32_t ep, int32_t esp) const { return ep * layout_.esp + esp; }
  ExpertRange experts(int32_t ep) const { return ExpertsOf(num_experts_, layout_.ep, ep); }

  RowRange Taken(int32_t rank, int32_t expert, int32_t chunk) {
    return cut_.rows(Direction::kForward, chunk,
                     std::span(of(rank)).subspan(static_cast<size_t>(expert)),
                     static_cast<size_t>(num_experts_));
  }

  SendOrder Sender(int32_t rank) {
    SendOrder order;
    order.Prepare(ExpertPlacement(num_experts_, layout_.ep), degree());
    for (int32_t c = 0; c < degree(); ++c) {
      std::vector<RowRange> taken;
      taken.reserve(static_cast<size_t>(num_experts_));
      for (int32_t e = 0; e < num_experts_; ++e) taken.push_back(Taken(rank, e, c));
      order.Append(c, taken);
    }
    return order;
  }

  ArrivalOrder Receiver(int32_t rank) {
    const ExpertRange local = experts(rank / layout_.esp);
    ArrivalOrder order;
    order.Prepare(layout_, local.count, rank % layout_.esp, degree());
    for (int32_t c = 0; c < degree(); ++c) {
      std::vector<RowRange> taken;  // [esp][ep][local experts]
      for (int32_t j = 0; j < layout_.esp; ++j) {
        for (int32_t s = 0; s < layout_.ep; ++s) {
          for (int32_t e = 0; e < local.count; ++e)
            taken.push_back(Taken(this->rank(s, j), local.first + e, c));
        }
      }
      order.Append(c, taken);
    }
    return order;
  }

  SavedOrder Saved(int32_t ep) {
    const ExpertRange local = experts(ep);
    std::vector<int64_t> totals;  // [esp][ep][local experts]
    for (int32_t j = 0; j < layout_.esp; ++j) {
      for (int32_t s = 0; s < layout_.ep; ++s) {
        for (int32_t e = 0; e < local.count; ++e)
          totals.push_back(rows(rank(s, j), local.first + e));
      }
    }
    SavedOrder order;
    order.Build(totals, layout_, local.count);
    return order;
  }

  // This rank's rows as they stand in its send buffer. Fails when two rows claim one place.
  std::vector<Token> Sent(int32_t rank) {
    const SendOrder order = Sender(rank);
    const auto& counts = of(rank);
    std::vector<Token> rows(static_cast<size_t>(std::accumulate(counts.begin(), counts.end(), 0)));
    for (int32_t e = 0; e < num_experts_; ++e) {
      for (int64_t i = 0; i < this->rows(rank, e); ++i) {
        int32_t chunk = 0;
        while (order.block_rows(chunk, e).end <= i) ++chunk;
        const int64_t position = order.block_begin(chunk, e) + i - order.block_rows(chunk, e).begin;
        if (position < 0 || position >= static_cast<int64_t>(rows.size())) {
          ADD_FAILURE() << "row " << i << " of expert " << e << " stands at " << position << " of "
                        << rows.size();
          return rows;
        }
        EXPECT_EQ(rows[static_cast<size_t>(position)], Token{}) << "two rows at " << position;
        rows[static_cast<size_t>(position)] = {rank, e, i};
      }
    }
    return rows;
  }

  // What the all-to-all of `chunk` brings to rank (ep, esp), by ascending EP member.
  std::vector<Token> Received(int32_t ep, int32_t esp, int32_t chunk) {
    std::vector<Token> rows;
    for (int32_t s = 0; s < layout_.ep; ++s) {
      const SendOrder order = Sender(rank(s, esp));
      const std::vector<Token> sent = Sent(rank(s, esp));
      const auto to = order.rows_to(chunk);
      const auto begin =
          order.chunk_begin(chunk) + std::accumulate(to.begin(), to.begin() + ep, int64_t{0});
      const auto first = sent.begin() + begin;
      rows.insert(rows.end(), first, first + to[static_cast<size_t>(ep)]);
    }
    return rows;
  }

  // ... and after the all-gather over the ESP group.
  std::vector<Token> Gathered(int32_t ep, int32_t chunk) {
    std::vector<Token> rows;
    for (int32_t j = 0; j < layout_.esp; ++j) {
      const std::vector<Token> received = Received(ep, j, chunk);
      rows.insert(rows.end(), received.begin(), received.end());
    }
    return rows;
  }

 private:
  Layout layout_;
  int32_t num_experts_;
  LayerCut cut_;
  std::vector<std::vector<int32_t>> counts_;  // [rank][segment][expert]
};

class RoutingTest : public testing::TestWithParam<std::tuple<int, int, int, int, bool>> {
 protected:
  int32_t ep() const { return std::get<0>(GetParam()); }
  int32_t esp() const { return std::get<1>(GetParam()); }
  int32_t experts() const { return std::get<2>(GetParam()); }
  int32_t degree() const { return std::get<3>(GetParam()); }
  bool along_tokens() const { return std::get<4>(GetParam()); }
  World MakeWorld() const {
    const BatchShape batch = {3, 640, 1, 3};
    const LayerCut cut(batch, {degree(), along_tokens()}, {4, along_tokens()});
    return {{1, ep(), esp()}, experts(), cut, absl::StrCat(ep(), "/", esp(), "/", experts())};
  }
};

TEST_P(RoutingTest, SendOrderIsAPermutationCutIntoChunks) {
  World world = MakeWorld();
  for (int32_t rank = 0; rank < world.ranks(); ++rank) {
    const SendOrder order = world.Sender(rank);
    const std::vector<Token> sent = world.Sent(rank);  // checks the permutation
    ASSERT_EQ(order.degree(), degree());
    int64_t begin = 0;
    for (int32_t c = 0; c < degree(); ++c) {
      EXPECT_EQ(order.chunk_begin(c), begin);
      const auto to = order.rows_to(c);
      EXPECT_EQ(std::accumulate(to.begin(), to.end(), int64_t{0}), order.chunk_rows(c));
      begin += order.chunk_rows(c);
    }
    EXPECT_EQ(begin, static_cast<int64_t>(sent.size()));
  }
}

TEST_P(RoutingTest, ReceiversExpectWhatSendersSend) {
  World world = MakeWorld();
  for (int32_t d = 0; d < ep(); ++d) {
    for (int32_t j = 0; j < esp(); ++j) {
      const ArrivalOrder arrival = world.Receiver(world.rank(d, j));
      for (int32_t c = 0; c < degree(); ++c) {
        for (int32_t s = 0; s < ep(); ++s) {
          EXPECT_EQ(arrival.rows_from(c)[static_cast<size_t>(s)],
                    world.Sender(world.rank(s, j)).rows_to(c)[static_cast<size_t>(d)]);
        }
        for (int32_t member = 0; member < esp(); ++member) {
          EXPECT_EQ(arrival.rows_gathered(c)[static_cast<size_t>(member)],
                    world.Receiver(world.rank(d, member)).received_rows(c));
        }
      }
    }
  }
}

TEST_P(RoutingTest, EveryRowReachesItsExpertInSourceOrder) {
  World world = MakeWorld();
  for (int32_t d = 0; d < ep(); ++d) {
    const ArrivalOrder arrival = world.Receiver(world.rank(d, 0));
    const ExpertRange local = world.experts(d);
    const SavedOrder order = world.Saved(d);
    std::vector<Token> saved(static_cast<size_t>(order.total_rows()));
    for (int32_t c = 0; c < degree(); ++c) {
      const std::vector<Token> rows = world.Gathered(d, c);
      ASSERT_EQ(static_cast<int64_t>(rows.size()), arrival.arrival_rows(c));
      int64_t kept = 0;
      bool in_order = true;
      for (int32_t e = 0; e < local.count; ++e) {
        EXPECT_EQ(arrival.kept_rows(c, e).begin, kept);
        const auto runs = arrival.runs(c, e);
        for (size_t source = 0; source < runs.size(); ++source) {
          const RowRun& run = runs[source];
          EXPECT_EQ(run.kept, kept);
          kept += run.rows.count();
          for (int64_t i = 0; i < run.rows.count(); ++i) {
            in_order &= run.arrival + i == run.kept + i;
            const Token& token = rows[static_cast<size_t>(run.arrival + i)];
            EXPECT_EQ(token,
                      (Token{static_cast<int32_t>(source), local.first + e, run.rows.begin + i}));
            Token& place = saved[static_cast<size_t>(order.begin(e, source) + token.row)];
            EXPECT_EQ(place, Token{}) << "saved twice";
            place = token;
          }
        }
        EXPECT_EQ(arrival.kept_rows(c, e).end, kept);
      }
      EXPECT_EQ(arrival.arrival_rows(c), kept);
      EXPECT_EQ(arrival.arrives_in_kept_order(c), in_order);
      EXPECT_TRUE(in_order || (ep() > 1 && esp() > 1) || (world.ranks() > 1 && local.count > 1));
    }
    // Saved order: [local expert][source rank ascending][row], whatever the degree.
    size_t next = 0;
    for (int32_t e = 0; e < local.count; ++e) {
      EXPECT_EQ(order.rows(e).begin, static_cast<int64_t>(next));
      for (int32_t source = 0; source < world.ranks(); ++source) {
        for (int64_t i = 0; i < world.rows(source, local.first + e); ++i) {
          ASSERT_LT(next, saved.size());
          EXPECT_EQ(saved[next++], (Token{source, local.first + e, i}));
        }
      }
      EXPECT_EQ(order.rows(e).end, static_cast<int64_t>(next));
    }
    EXPECT_EQ(next, saved.size());
  }
}

TEST_P(RoutingTest, RanksWithoutRowsAreOrdinary) {
  World world = MakeWorld();
  for (int32_t rank = 0; rank < world.ranks(); ++rank) world.Clear(rank);
  for (int32_t rank = 0; rank < world.ranks(); ++rank) {
    EXPECT_TRUE(world.Sent(rank).empty());
    EXPECT_EQ(world.Sender(rank).chunk_rows(degree() - 1), 0);
    const ArrivalOrder arrival = world.Receiver(rank);
    EXPECT_EQ(arrival.arrival_rows(0), 0);
    EXPECT_EQ(world.Saved(rank / esp()).total_rows(), 0);
  }
}

INSTANTIATE_TEST_SUITE_P(Layouts, RoutingTest,
                         testing::Combine(testing::Values(1, 2, 3, 4), testing::Values(1, 2, 3),
                                          testing::Values(4, 7),  // 7: uneven over 2, 3 and 4
                                          testing::Values(1, 2, 3, 5), testing::Bool()),
                         [](const auto& test) {
                           return absl::StrCat(
                               "ep", std::get<0>(test.param), "_esp", std::get<1>(test.param), "_e",
                               std::get<2>(test.param), "_r", std::get<3>(test.param),
                               std::get<4>(test.param) ? "_tokens" : "_rows");
                         });

TEST(ChunkOfTest, ChunksPartitionAnyNumberOfRows) {
  for (int64_t n = 0; n < 40; ++n) {
    for (int32_t r = 1; r < 10; ++r) {
      int64_t next = 0;
      for (int32_t i = 0; i < r; ++i) {
        const RowRange chunk = ChunkOf(n, i, r);
        EXPECT_EQ(chunk.begin, next);
        EXPECT_LE(chunk.count(), n / r + 1);
        next = chunk.end;
      }
      EXPECT_EQ(next, n);
    }
  }
}

}  // namespace
}  // namespace weft
