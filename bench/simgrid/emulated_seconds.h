#pragma once

#include "bench/simgrid/cases.h"
#include "scheduler/analytic_cost_model.h"

namespace weft {

// How long comm/sim makes a case take over links of these speeds (docs/collectives.md, "Emulated
// links"): the bytes that the algorithms really move, both ways. REQUIRES: a valid shape.
double EmulatedSeconds(const CollectiveCase& one, const GroupShape& shape,
                       const MachineSpeeds& speeds);

}  // namespace weft
