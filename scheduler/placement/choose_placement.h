#pragma once

#include <cstdint>
#include <span>

#include "graph/expert_homes.h"
#include "graph/expert_placement.h"
#include "graph/plan.h"
#include "graph/topology.h"

namespace weft {

// Where the experts of a layer should work in a step, from how many rows every rank had for every
// expert of late. Steepest descent from home: copies, moves and swaps that unburden the busiest
// member, each kept when
//
//   row_seconds * (rows of the busiest rank) + far_row_seconds * (rows that the busiest rank sends
//   or receives) + move_seconds * (experts that the busiest member lends or borrows)
//
// falls; at home when nothing pays. Where several members are equally busy what decides is, with a
// small weight, how evenly the rows are spread. Rows are dealt out as ExpertPlacement::SlotsFor
// says.
//
// Pure: equal arguments give an equal placement on every rank, which need not ask one another. Some
// W * EP operations per change that is tried, with W ranks.
//
// rows: [W][experts]. REQUIRES: a valid layout; experts >= EP; `members_per_node`: consecutive EP
// members that share a node.
ExpertPlacement ChoosePlacement(const Layout& layout, int32_t members_per_node, int32_t experts,
                                const FollowLoad& terms, std::span<const int64_t> rows);

// Where the experts of a layer should live from now on that live at `now`: swaps of two experts of
// different members, from `now`, as long as the same sum falls without its last term, for who lives
// elsewhere moves once. Whoever is not swapped stays at home. For loads that last; pure.
//
// rows: [W][experts], of who lives at each home of `now`. REQUIRES: as above.
ExpertHomes ChooseHomes(const Layout& layout, int32_t members_per_node, const FollowLoad& terms,
                        std::span<const int64_t> rows, const ExpertHomes& now);

}  // namespace weft
