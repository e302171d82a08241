#pragma once

#include <optional>

#include "launch/commands/launched_ranks.h"
#include "launch/control/failure.h"
#include "launch/control/run_files.h"

namespace weft {

// What `weft launch` says of the end of a job: the exit code it returns and writes, one sentence,
// and the rank behind it. `failure` is the first cause the ranks left in the run directory: they
// know it better than whoever started them. Only a parent that saw a rank killed knows better than
// those who say that somebody is gone, or that they were aborted because somebody is.
ExitFile JudgeEnd(const RanksEnd& end, const std::optional<Failure>& failure);

}  // namespace weft
