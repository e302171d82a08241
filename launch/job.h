#pragma once

#include <string>
#include <vector>

#include "base/log.h"

namespace weft {

struct JobCommand {
  std::string config_path;
  std::vector<std::string> overrides;
  std::string resume;  // run directory to go on with; empty: a new run
  LogOptions log;      // the rank is filled in once the session has said it
};

// One rank of a job from the session's start to its end; returns the process's exit code
// (launch/commands/exit_codes.h). After a failure it does not return: the session must not be
// finalised any more, the process leaves by _exit.
int RunRank(int argc, char** argv, const JobCommand& command);

}  // namespace weft
