#pragma once

#include <ostream>
#include <string>
#include <vector>

namespace weft {

// weft resume [--processes] RUN: starts the run's job again, on as many ranks as it had, from its
// newest checkpoint. The rest of the arguments are those of `weft launch` before CONFIG. Returns
// the exit code of `weft launch`.
int RunResumeCommand(const std::vector<std::string>& arguments, std::ostream& out,
                     std::ostream& err);

}  // namespace weft
