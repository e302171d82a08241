#pragma once

#include <cstdint>

#include "graph/plan.h"

namespace weft {

// The tasks of a plan in another valid issue order, a function of the seed alone.
Plan ShuffleOrder(const StepGraph& graph, const Plan& plan, uint64_t seed);

}  // namespace weft
