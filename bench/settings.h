#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/status.h"

namespace weft {

// What a benchmark can be told on its command line, by name, with its default.
using Settings = std::map<std::string, int32_t>;

// Reads name=number arguments. A setting is at least 1, or 0 where its default is. kInvalidArgument
// names the argument and the names there are.
absl::Status ParseSettings(int argc, char** argv, Settings& settings);

}  // namespace weft
