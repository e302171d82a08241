#pragma once

#include "absl/status/statusor.h"
#include "launch/commands/launched_ranks.h"

namespace weft {

// Starts the ranks as children of this process (launch/processes/rank_processes.h), which meet in
// the launch directory, and blocks until all have ended. The first SIGINT, SIGTERM, SIGHUP or
// SIGUSR1 becomes SIGUSR1 on every rank, "checkpoint and stop"; a second one, or the end of the
// grace, kills them. When a rank fails, the others are asked to end, and killed when they have not
// within ten seconds: by then they have told what they know. kNotFound when the program cannot be
// started. REQUIRES: the process has no other thread.
absl::StatusOr<RanksEnd> RunChildRanks(const LaunchOptions& options);

}  // namespace weft
