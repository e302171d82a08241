#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "absl/status/statusor.h"
#include "comm/hierarchy/group_shape.h"

// The ways to do one all-to-all in a group that spans nodes, and everything about them that is
// known before a single row count is: their steps, whose counts a member must know, and what an
// even load sends. docs/collectives.md has the same as a table.
//
// A flat group has one kind of link and nothing to gain: there every algorithm is kDirect.

namespace weft {

enum class AllToAllAlgorithm {
  kDirect,  // everyone to everyone in one step
  kPipe,    // the pairs inside the nodes and the pairs between them, two steps at once (ScheMoE)
  k2DH,     // to the node's member of the destination's local index, then between nodes (Tutel)
  k1DH,     // to the node's first member, between the first members, from there (Hetu)
};
inline constexpr std::array kAllToAllAlgorithms = {
    AllToAllAlgorithm::kDirect, AllToAllAlgorithm::kPipe, AllToAllAlgorithm::k2DH,
    AllToAllAlgorithm::k1DH};
inline constexpr size_t kMaxExchangeSteps = 3;

std::string_view Name(AllToAllAlgorithm algorithm);  // "direct", "pipe", "2dh", "1dh"
absl::StatusOr<AllToAllAlgorithm> ParseAllToAllAlgorithm(std::string_view name);

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

  friend bool operator==(const ExchangeTraffic&, const ExchangeTraffic&) = default;
};

// When every member has `pair_bytes` > 0 for every member. In 1DH the members of local index 0 move
// the most. REQUIRES: `step` is one of the outline's.
ExchangeTraffic ExpectedTraffic(AllToAllAlgorithm algorithm, const GroupShape& shape, size_t step,
                                double pair_bytes);

}  // namespace weft
