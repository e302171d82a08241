#include <numeric>

#include "tests/tensor/kernels_support.h"

// The order of rows equals what its definition says (kernels.h), whatever the pieces.

namespace weft {
namespace {

struct OrderCase {
  int64_t sequences, length, top_k, experts, capacity;
  std::vector<int32_t> slots_of;  // how many slots every expert has: in turn of these
  std::vector<int64_t> pieces;    // their ends
  std::vector<int32_t> segment_ends;
};

const std::vector<OrderCase> kCases = {
    {1, 12, 2, 4, 100, {1}, {12}, {12}},
    {3, 12, 3, 5, 4, {1, 2}, {12, 36}, {12, 24, 36}},
    {2, 192, 2, 7, 1000, {3, 1}, {64, 128, 256, 384}, {64, 128, 192, 384}},
    {2, 192, 4, 9, 40, {1, 4, 2}, {192, 384}, {64, 192, 256, 384}},
    {2, 100, 1, 3, 20, {2}, {64, 200}, {64, 200}},
    {2, 128, 2, 300, 1, {1}, {256}, {256}},
    {4, 1, 2, 2, 1, {1}, {2, 4}, {1, 2, 3, 4}},
};

class KernelsOrderTest : public FastKernelsTest {};

// The distinct experts of each token.
Ints Choices(const OrderCase& c) {
  Ints chosen({c.sequences * c.length, c.top_k});
  const Ints random = Ints::Uniform({c.sequences * c.length}, 0, 1 << 20, 50);
  for (int64_t t = 0; t < c.sequences * c.length; ++t) {
    // Half of the tokens prefer the first experts.
    const int64_t first = t % 2 == 0 ? random.values()[static_cast<size_t>(t)] % 2
                                     : random.values()[static_cast<size_t>(t)];
    for (int64_t j = 0; j < c.top_k; ++j)
      chosen[t * c.top_k + j] = static_cast<int32_t>((first + j) % c.experts);
  }
  return chosen;
}

TEST_P(KernelsOrderTest, RowsAndPlacesAreWhatTheirDefinitionSays) {
  for (const OrderCase& c : kCases) {
    SCOPED_TRACE(::testing::Message() << c.sequences << " x " << c.length << ", top " << c.top_k
                                      << " of " << c.experts << ", capacity " << c.capacity);
    const int64_t tokens = c.sequences * c.length, k = c.top_k;
    const auto segments = static_cast<int64_t>(c.segment_ends.size());
    std::vector<int32_t> begins = {0};
    for (int64_t e = 0; e < c.experts; ++e) {
      begins.push_back(begins.back() + c.slots_of[static_cast<size_t>(e) % c.slots_of.size()]);
    }
    const int64_t all_slots = begins.back();
    std::vector<int32_t> slots(static_cast<size_t>(all_slots));
    std::iota(slots.rbegin(), slots.rend(), 0);  // any order
    const int32_t turn = 1;
    const Ints experts = Choices(c);

    // By the definition.
    Ints slot({tokens, k}), row({tokens, k}), counts({segments, all_slots});
    std::vector<int32_t> kept(static_cast<size_t>(c.experts)), taken(kept);
    std::vector<int64_t> rows_of(static_cast<size_t>(all_slots));
    for (int64_t t = 0, segment = 0; t < tokens; ++t) {
      if (t % c.length == 0) std::fill(taken.begin(), taken.end(), 0);
      while (c.segment_ends[static_cast<size_t>(segment)] <= t) ++segment;
      for (int64_t i = t * k; i < (t + 1) * k; ++i) {
        const auto e = static_cast<size_t>(experts.values()[static_cast<size_t>(i)]);
        row[i] = -1;
        if (taken[e]++ >= c.capacity) continue;
        const int32_t of_expert = begins[e + 1] - begins[e];
        slot[i] = slots[static_cast<size_t>(begins[e] + (turn + kept[e]++) % of_expert)];
        row[i] = static_cast<int32_t>(rows_of[static_cast<size_t>(slot[i])]++);
        ++counts[segment * all_slots + slot[i]];
      }
    }

    Ints own_slot({tokens, k}, 77), own_row({tokens, k}, 77), own_counts({segments, all_slots});
    Ints own_kept({c.experts}), own_taken({c.experts});
    int64_t begin = 0;
    for (const int64_t end : c.pieces) {
      AssignRowsArgs args;
      args.experts = Rows(experts.view(), begin, end - begin);
      args.first_token = begin;
      args.length = c.length;
      args.capacity = c.capacity;
      args.slots_begin = View(begins.data(), {c.experts + 1});
      args.slots = View(slots.data(), {all_slots});
      args.turn = turn;
      args.segment_ends = View(c.segment_ends.data(), {segments});
      args.kept = own_kept.view();
      args.chosen = own_taken.view();
      args.counts = own_counts.view();
      args.slot = Rows(own_slot.view(), begin, end - begin);
      args.row = Rows(own_row.view(), begin, end - begin);
      fast_->AssignRows(args);
      begin = end;
    }
    EXPECT_EQ(own_row.values(), row.values());
    EXPECT_EQ(own_counts.values(), counts.values());
    EXPECT_EQ(own_kept.values(), kept);
    for (size_t i = 0; i < row.values().size(); ++i) {
      if (row.values()[i] < 0) continue;
      ASSERT_EQ(own_slot.values()[i], slot.values()[i]) << i;
    }

    // Two chunks of each slot's rows, the second chunk first in memory.
    Ints ends({2, all_slots}), shifts({2, all_slots});
    int32_t at = 0;
    for (const int64_t chunk : {1, 0}) {
      for (int64_t s = 0; s < all_slots; ++s) {
        const auto all = static_cast<int32_t>(rows_of[static_cast<size_t>(s)]);
        const int32_t first = chunk == 0 ? 0 : all / 2, last = chunk == 0 ? all / 2 : all;
        ends[chunk * all_slots + s] = last;
        shifts[chunk * all_slots + s] = at - first;
        at += last - first;
      }
    }
    Ints place({tokens, k}, 77), token({tokens * k}, -7), choice({tokens * k}, -7);
    begin = 0;
    for (const int64_t end : c.pieces) {
      PlaceRowsArgs args;
      args.slot = Rows(own_slot.view(), begin, end - begin);
      args.row = Rows(own_row.view(), begin, end - begin);
      args.first_token = begin;
      args.ends = ends.view();
      args.shifts = shifts.view();
      args.place = Rows(place.view(), begin, end - begin);
      args.token = token.view();
      args.choice = choice.view();
      fast_->PlaceRows(args);
      begin = end;
    }
    std::vector<bool> used(static_cast<size_t>(tokens * k));
    for (int64_t i = 0; i < tokens * k; ++i) {
      if (row[i] < 0) {
        EXPECT_EQ(place[i], -1);
        continue;
      }
      const int32_t chunk = row[i] < ends[slot[i]] ? 0 : 1;
      ASSERT_EQ(place[i], row[i] + shifts[chunk * all_slots + slot[i]]);
      ASSERT_FALSE(used[static_cast<size_t>(place[i])]);
      used[static_cast<size_t>(place[i])] = true;
      EXPECT_EQ(token[place[i]], i / k);
      EXPECT_EQ(choice[place[i]], i);
    }
    for (int64_t i = at; i < tokens * k; ++i) EXPECT_EQ(token[i], -7) << "left alone";
  }
}

INSTANTIATE_TEST_SUITE_P(Fast, KernelsOrderTest, ::testing::ValuesIn(Implementations()), NameOf);

}  // namespace
}  // namespace weft
