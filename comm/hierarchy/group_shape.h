#pragma once

#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/ids.h"

// How a group lies over the nodes of a cluster, as one member sees it: N nodes with G members each,
// numbered node by node, so that member = node * G + local. Two kinds of smaller groups follow from
// it: the members of one node, and the members of equal local index, one of every node.

namespace weft {

struct GroupShape {
  int nodes = 1;             // N
  int members_per_node = 1;  // G
  int me = 0;                // place in the group

  int size() const { return nodes * members_per_node; }
  int node() const { return me / members_per_node; }
  int local() const { return me % members_per_node; }
  int member(int on_node, int at_local) const { return on_node * members_per_node + at_local; }
  int node_of(int of_member) const { return of_member / members_per_node; }
  // There is only one kind of link: all members on one node, or each on its own.
  bool flat() const { return nodes == 1 || members_per_node == 1; }

  friend bool operator==(const GroupShape&, const GroupShape&) = default;
};

// kInvalidArgument unless N >= 1, G >= 1 and `me` is a member.
absl::Status Validate(const GroupShape& shape);

// The shape of the group of `ranks` (global ranks, ascending) where rank r is on node r /
// ranks_per_node. kInvalidArgument when they do not ascend, `me` is not among them, or the nodes
// have unequally many; such a group is exchanged within as if it were flat: {1, size, place}.
absl::StatusOr<GroupShape> MakeGroupShape(std::span<const RankId> ranks, int ranks_per_node,
                                          RankId me);

// Which communicator a step of an exchange runs on.
enum class ExchangeTier {
  kGroup,      // the whole group; member p is p
  kIntraNode,  // this node's members; member j has local index j
  kInterNode,  // this local index's members; member n is on node n
};

int TierSize(const GroupShape& shape, ExchangeTier tier);
// This member's place in its group of that tier.
int TierPlace(const GroupShape& shape, ExchangeTier tier);
// The place in the whole group of `peer` of the tier.
int TierMember(const GroupShape& shape, ExchangeTier tier, int peer);
// What this member connects for that tier (comm/backend.h), from the ranks of the whole group.
std::vector<RankId> TierRanks(const GroupShape& shape, ExchangeTier tier,
                              std::span<const RankId> ranks);

}  // namespace weft
