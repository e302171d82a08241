#include "graph/topology.h"

#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace weft {
namespace {

bool SameEp(const Layout& layout, RankId a, RankId b) {
  return layout.esp_index(a) == layout.esp_index(b) && layout.edp_index(a) == layout.edp_index(b);
}

// How many members of its EP group stand before `rank` on its node.
int32_t PlaceOnNode(const Topology& topology, const Layout& layout, RankId rank) {
  int32_t before = 0;
  for (RankId other{topology.node_of(rank) * topology.ranks_per_node}; other < rank; ++other.value)
    before += SameEp(layout, other, rank) ? 1 : 0;
  return before;
}

}  // namespace

absl::Status ValidateLayout(const Topology& topology, const Layout& layout, int32_t num_experts) {
  const int32_t world = topology.world_size;
  const int32_t per_node = topology.ranks_per_node;
  if (world < 1 || per_node < 1 || world % per_node != 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a world of ", world, " ranks cannot be split into nodes of ", per_node, " ranks each"));
  }
  if (layout.edp < 1 || layout.ep < 1 || layout.esp < 1 ||
      int64_t{layout.edp} * layout.ep > world ||
      int64_t{layout.edp} * layout.ep * layout.esp != world) {
    return absl::InvalidArgumentError(absl::StrCat("edp * ep * esp must equal the world size ",
                                                   world, ", but is ", layout.edp, " * ", layout.ep,
                                                   " * ", layout.esp));
  }
  if (per_node % layout.esp != 0) {
    return absl::InvalidArgumentError(absl::StrCat("expert sharding (esp ", layout.esp,
                                                   ") must stay inside a node: it must divide the ",
                                                   per_node, " ranks of a node"));
  }
  if (layout.mp < 1 || per_node % layout.mp != 0) {
    return absl::InvalidArgumentError(absl::StrCat("tensor parallelism (mp ", layout.mp,
                                                   ") must stay inside a node: it must divide the ",
                                                   per_node, " ranks of a node"));
  }
  if (layout.zero_stage < 0 || layout.zero_stage > 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("the ZeRO stage must be 0 or 1, not ", layout.zero_stage));
  }
  if (num_experts < layout.ep) {
    return absl::InvalidArgumentError(absl::StrCat("expert parallelism (ep ", layout.ep,
                                                   ") needs at least as many experts, but a layer "
                                                   "has ",
                                                   num_experts));
  }
  return absl::OkStatus();
}

std::string DescribeLayout(const Layout& layout) {
  std::string text = absl::StrCat("experts over ", layout.ep, " ranks x ", layout.esp, " shards");
  if (layout.mp > 1) absl::StrAppend(&text, ", attention heads over ", layout.mp, " ranks");
  if (layout.zero_stage > 0) absl::StrAppend(&text, ", optimizer state spread (ZeRO-1)");
  return text;
}

std::vector<RankId> GroupOf(const Topology& topology, const Layout& layout, GroupKind kind,
                            RankId rank) {
  WEFT_CHECK(rank.value >= 0 && rank.value < topology.world_size, "the rank is in the world");
  std::vector<RankId> members;
  for (int32_t value = 0; value < topology.world_size; ++value) {
    const RankId other{value};
    bool together = false;
    switch (kind) {
      case GroupKind::kNone:
        together = other == rank;
        break;
      case GroupKind::kWorld:
        together = true;
        break;
      case GroupKind::kIntra:
        together = topology.node_of(other) == topology.node_of(rank);
        break;
      case GroupKind::kInter:
        together = topology.local_of(other) == topology.local_of(rank);
        break;
      case GroupKind::kEp:
      case GroupKind::kEpAcross:
        together = SameEp(layout, other, rank);
        break;
      case GroupKind::kEpNode:
        together = SameEp(layout, other, rank) && topology.node_of(other) == topology.node_of(rank);
        break;
      case GroupKind::kEpPeers:
        together = SameEp(layout, other, rank) &&
                   PlaceOnNode(topology, layout, other) == PlaceOnNode(topology, layout, rank);
        break;
      case GroupKind::kEsp:
        together = other.value / layout.esp == rank.value / layout.esp;
        break;
      case GroupKind::kEdp:
        together = other.value % layout.expert_ranks() == rank.value % layout.expert_ranks();
        break;
      case GroupKind::kMp:
        together = other.value / layout.mp == rank.value / layout.mp;
        break;
      case GroupKind::kMpPeers:
        together = topology.node_of(other) == topology.node_of(rank) &&
                   layout.mp_index(other) == layout.mp_index(rank);
        break;
    }
    if (together) members.push_back(other);
  }
  return members;
}

LinkClass LinkOf(const Topology& topology, const std::vector<RankId>& group) {
  if (group.size() < 2) return LinkClass::kNone;
  for (const RankId rank : group) {
    if (topology.node_of(rank) != topology.node_of(group.front())) return LinkClass::kInterNode;
  }
  return LinkClass::kIntraNode;
}

}  // namespace weft
