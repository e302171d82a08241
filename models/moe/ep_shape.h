#pragma once

#include "comm/hierarchy/group_shape.h"
#include "graph/topology.h"

namespace weft {

// How the EP group of `rank` lies over the nodes; flat where the nodes have unequally many members.
// All ranks agree on whether it is flat.
GroupShape EpShape(const Topology& topology, const Layout& layout, RankId rank);

}  // namespace weft
