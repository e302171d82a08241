#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <vector>

#include "comm/hierarchy/exchange_outline.h"
#include "comm/hierarchy/group_shape.h"

// What is compared: the same list for the program that simulates the collectives and for the one
// that asks the cost model, so that their answers can be put side by side.

namespace weft {

enum class Collective { kAllToAll, kHotAllToAll, kAllGather, kReduceScatter, kAllReduce };

// `bytes` is of a pair of members (all-to-all), of a member's block (all-gather, reduce-scatter) or
// of the whole buffer (all-reduce). Every group of the tier runs the collective at the same time.
struct CollectiveCase {
  Collective collective = Collective::kAllToAll;
  ExchangeTier tier = ExchangeTier::kGroup;
  AllToAllAlgorithm algorithm = AllToAllAlgorithm::kDirect;  // other than direct: kGroup only
  int64_t bytes = 0;
};

inline constexpr int64_t kRowFloats = 32;
inline constexpr int64_t kRowBytes = kRowFloats * static_cast<int64_t>(sizeof(float));
// In a hot all-to-all everyone has this many times the rows for member 0.
inline constexpr int64_t kHotFactor = 8;

std::vector<CollectiveCase> AllCases();

// How many rows any member has for `destination`. REQUIRES: an all-to-all.
int64_t PairRows(const CollectiveCase& one, int destination);

// {"collective": "all_to_all", "tier": "group", "algorithm": "direct", "bytes": 128}
nlohmann::ordered_json Describe(const CollectiveCase& one);

}  // namespace weft
