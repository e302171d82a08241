#pragma once

#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "launch/commands/job_client.h"

namespace weft {

// What `weft status`, `plan`, `stop` and `checkpoint` share: options, finding the job, errors and
// exit codes. `show` asks the job and writes the answer.
struct PersonCommand {
  std::string name;     // "status"
  std::string summary;  // one line for --help
  std::function<absl::Status(JobClient& job, bool json, std::ostream& out)> show;
};

int RunPersonCommand(const PersonCommand& command, const std::vector<std::string>& arguments,
                     std::ostream& out, std::ostream& err);

}  // namespace weft
