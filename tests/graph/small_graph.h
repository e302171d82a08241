#pragma once

#include "graph/plan.h"
#include "graph/step_graph.h"

namespace weft {

// One layer, backward only: router -> dispatch -> expert -> combine in chunks, then the gradient of
// 1000 elements reduced in two sliceable steps, then the optimizer.
StepGraph SmallGraph();

// A valid plan of SmallGraph: two chunks, two slices.
Plan SmallPlan();

}  // namespace weft
