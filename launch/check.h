#pragma once

#include <string>
#include <vector>

namespace weft {

// `weftd --check`: loads and validates the configuration, lays out `ranks` ranks (empty: as many as
// the configuration's groups need), builds the step graph and plans it on guessed costs. Prints one
// line, or everything that is wrong. Returns the exit code: 0 or 2.
int CheckJob(const std::string& config_path, const std::vector<std::string>& overrides,
             const std::string& ranks);

}  // namespace weft
