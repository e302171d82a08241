#pragma once

#include <ostream>
#include <string>
#include <vector>

namespace weft {

// weft simulate: plans and simulates without running (docs/simulation.md). One MoE layer by its
// per-chunk times (--layer), FSMoE's grid of layers (--grid), or a job's model (--model), the last
// two on a described cluster (--cluster).
int RunSimulateCommand(const std::vector<std::string>& arguments, std::ostream& out,
                       std::ostream& err);

}  // namespace weft
