#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/status/statusor.h"

namespace weft {

// What a benchmark can be told on its command line, by name, with its default.
using Settings = std::map<std::string, int32_t>;

using Measurement = absl::StatusOr<nlohmann::ordered_json> (*)(const Settings&);

// A benchmark's main: reads name=number arguments over `settings`, measures and prints one line of
// JSON. A setting is at least 1, or 0 where its default is. Returns the exit code: 2 for an
// argument that is not one, with the names there are; 1 when the measurement fails.
int RunBenchmark(int argc, char** argv, Settings settings, Measurement measure);

}  // namespace weft
