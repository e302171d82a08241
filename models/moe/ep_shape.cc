#include "models/moe/ep_shape.h"

#include <algorithm>
#include <vector>

namespace weft {

GroupShape EpShape(const Topology& topology, const Layout& layout, RankId rank) {
  const std::vector<RankId> ranks = GroupOf(topology, layout, GroupKind::kEp, rank);
  const absl::StatusOr<GroupShape> shape = MakeGroupShape(ranks, topology.ranks_per_node, rank);
  if (shape.ok()) return *shape;
  const auto place = std::lower_bound(ranks.begin(), ranks.end(), rank) - ranks.begin();
  return {1, static_cast<int>(ranks.size()), static_cast<int>(place)};
}

}  // namespace weft
