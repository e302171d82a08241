#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "comm/communicator.h"
#include "profiler/instances.h"
#include "runtime/executor.h"

namespace weft {

// The spans of one step from all ranks, on every rank.
// COLLECTIVE over `control`, between steps. REQUIRES: the same plan on all ranks.
absl::StatusOr<StepSpans> GatherSpans(Communicator& control, const StepReport& report);

}  // namespace weft
