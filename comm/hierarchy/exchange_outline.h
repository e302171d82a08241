#pragma once

#include <cstdint>
#include <span>

#include "base/all_to_all_algorithm.h"
#include "comm/hierarchy/group_shape.h"

// Everything about the ways to do one all-to-all in a group that spans nodes that is known before a
// single row count is: their steps, whose counts a member must know, and what an even load sends.
// docs/collectives.md has the same as a table.

namespace weft {

struct ExchangeStepOutline {
  ExchangeTier tier = ExchangeTier::kGroup;
  bool independent = false;   // of the step before it: both may run at once
  bool leaders_only = false;  // members other than local index 0 have no part in it

  friend bool operator==(const ExchangeStepOutline&, const ExchangeStepOutline&) = default;
};

// The steps, in order, the same on all members. REQUIRES: a valid shape, here and below.
std::span<const ExchangeStepOutline> OutlineOf(AllToAllAlgorithm algorithm,
                                               const GroupShape& shape);

// Whether shape.me must know how many rows `source` has for `destination` to plan its part:
//   always        its own rows, to and from it
//   2DH           also from every member of its node to every member of its local index
//   1DH           also, where it is local index 0, to and from every member of its node
bool NeedsRows(AllToAllAlgorithm algorithm, const GroupShape& shape, int source, int destination);

// What one member moves in one step. Own rows are not moved.
struct ExchangeTraffic {
  int64_t messages = 0;       // sent, with at least one row
  double intra_bytes = 0;     // sent to members of the own node
  double inter_bytes = 0;     // sent to other nodes
  double received_bytes = 0;  // from either

  double sent_bytes() const { return intra_bytes + inter_bytes; }

  friend bool operator==(const ExchangeTraffic&, const ExchangeTraffic&) = default;
};

// When every member has `pair_bytes` > 0 for every member. In 1DH the members of local index 0 move
// the most. REQUIRES: `step` is one of the outline's.
ExchangeTraffic ExpectedTraffic(AllToAllAlgorithm algorithm, const GroupShape& shape, size_t step,
                                double pair_bytes);

}  // namespace weft
