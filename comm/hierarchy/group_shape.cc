#include "comm/hierarchy/group_shape.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"

namespace weft {

absl::Status Validate(const GroupShape& shape) {
  if (shape.nodes < 1 || shape.members_per_node < 1) {
    return absl::InvalidArgumentError(absl::StrCat("a group over ", shape.nodes, " nodes with ",
                                                   shape.members_per_node,
                                                   " members each: both must be at least 1"));
  }
  if (shape.me < 0 || shape.me >= shape.size()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "member ", shape.me, " of a group of ", shape.size(), ": must be 0..", shape.size() - 1));
  }
  return absl::OkStatus();
}

absl::StatusOr<GroupShape> MakeGroupShape(std::span<const RankId> ranks, int ranks_per_node,
                                          RankId me) {
  if (ranks_per_node < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("ranks_per_node ", ranks_per_node, ": must be at least 1"));
  }
  const auto unordered = std::adjacent_find(ranks.begin(), ranks.end(),
                                            [](RankId a, RankId b) { return a.value >= b.value; });
  if (unordered != ranks.end()) {
    return absl::InvalidArgumentError(absl::StrCat("rank ", unordered->value, " stands before ",
                                                   (unordered + 1)->value,
                                                   ": a group's ranks must ascend"));
  }
  const auto place = std::find(ranks.begin(), ranks.end(), me);
  if (place == ranks.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat("rank ", me.value, " is not one of the group's ", ranks.size(), " members"));
  }
  const auto node_at = [&](size_t member) { return ranks[member].value / ranks_per_node; };
  size_t per_node = 1;
  while (per_node < ranks.size() && node_at(per_node) == node_at(0)) ++per_node;
  for (size_t first = 0; first < ranks.size();) {
    size_t last = first;
    while (last < ranks.size() && node_at(last) == node_at(first)) ++last;
    if (last - first != per_node) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the group has ", per_node, " members on node ", node_at(0), " and ", last - first,
          " on node ", node_at(first), ": every node must have equally many"));
    }
    first = last;
  }
  GroupShape shape;
  shape.nodes = static_cast<int>(ranks.size() / per_node);
  shape.members_per_node = static_cast<int>(per_node);
  shape.me = static_cast<int>(place - ranks.begin());
  return shape;
}

int TierSize(const GroupShape& shape, ExchangeTier tier) {
  switch (tier) {
    case ExchangeTier::kGroup:
      return shape.size();
    case ExchangeTier::kIntraNode:
      return shape.members_per_node;
    case ExchangeTier::kInterNode:
      return shape.nodes;
  }
  WEFT_CHECK(false, "a tier");
}

int TierPlace(const GroupShape& shape, ExchangeTier tier) {
  switch (tier) {
    case ExchangeTier::kGroup:
      return shape.me;
    case ExchangeTier::kIntraNode:
      return shape.local();
    case ExchangeTier::kInterNode:
      return shape.node();
  }
  WEFT_CHECK(false, "a tier");
}

int TierMember(const GroupShape& shape, ExchangeTier tier, int peer) {
  switch (tier) {
    case ExchangeTier::kGroup:
      return peer;
    case ExchangeTier::kIntraNode:
      return shape.member(shape.node(), peer);
    case ExchangeTier::kInterNode:
      return shape.member(peer, shape.local());
  }
  WEFT_CHECK(false, "a tier");
}

std::vector<RankId> TierRanks(const GroupShape& shape, ExchangeTier tier,
                              std::span<const RankId> ranks) {
  WEFT_CHECK(std::ssize(ranks) == shape.size(), "the ranks of the whole group");
  std::vector<RankId> of_tier(static_cast<size_t>(TierSize(shape, tier)));
  for (size_t peer = 0; peer < of_tier.size(); ++peer) {
    of_tier[peer] = ranks[static_cast<size_t>(TierMember(shape, tier, static_cast<int>(peer)))];
  }
  return of_tier;
}

}  // namespace weft
