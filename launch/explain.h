#pragma once

#include <ostream>
#include <string>
#include <vector>

namespace weft {

// weft explain RUN: why the run's newest plan is as it is, derived again from what the run
// directory holds (config.yaml, job.json, profile.json, plan.json). No job needs to be running.
// Returns the exit code.
int RunExplainCommand(const std::vector<std::string>& arguments, std::ostream& out,
                      std::ostream& err);

}  // namespace weft
