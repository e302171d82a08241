#pragma once

#include <string>

#include "runtime/options.h"
#include "scheduler/planner.h"

namespace weft {

// What the options say of a request: the policy and its candidates. Graph, costs and epoch are for
// the caller to fill in. REQUIRES: options that the configuration has checked.
PlanRequest PlanRequestOf(const TuningOptions& options, const std::string& policy);

}  // namespace weft
