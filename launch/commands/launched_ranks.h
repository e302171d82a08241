#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"

// What every way to start the ranks of a job is given, and what it tells about their end.

namespace weft {

struct LaunchOptions {
  int32_t ranks = 1;
  std::vector<std::string> command;  // the program each rank runs, and its arguments
  std::string launch_directory;      // for the ranks' environment (run_files.h)
  absl::Duration grace =
      absl::Seconds(120);  // from the request to stop until the job is ended by force
};

struct RanksEnd {
  int32_t status = 0;           // as a shell shows it: 128 + signal when killed
  int32_t rank = -1;            // the first rank that failed; -1: not known
  bool witnessed = false;       // seen by their parent, which knows who was killed first
  bool stop_requested = false;  // a signal asked for the end
  bool forced = false;          // ... which had to be forced
};

}  // namespace weft
