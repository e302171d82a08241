#pragma once

#include <string>

#include "graph/plan.h"
#include "graph/step_graph.h"

namespace weft {

// Where the experts of a plan work and what that makes of the load: a line per layer that the plan
// places. Nothing for a plan with all experts at home. `expected`: the graph of an even load;
// `home`, `placed`: under the measured one.
std::string ExplainPlacement(const Plan& plan, const StepGraph& expected, const StepGraph& home,
                             const StepGraph& placed);

}  // namespace weft
