#pragma once

#include <cstdint>

#include "graph/plan.h"

namespace weft {

// A plan that nobody would choose, a function of the graph and the seed alone: each layer and
// direction with its own degree, blocks cut or whole, each layer with its own all-to-all
// algorithm, gradient slices of random lengths and experts at home or anywhere (without copies:
// bits stay), some number of streams, and any issue order that keeps needs first. Valid for every
// valid graph.
Plan RandomPlan(const StepGraph& graph, uint64_t seed);

}  // namespace weft
