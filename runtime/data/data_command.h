#pragma once

#include <iostream>
#include <ostream>
#include <span>
#include <string>

#include "absl/status/status.h"

namespace weft {

// `weft data ARGS`:
//   prepare PATH... [--tokenizer NAME] [--out DIR] [--validation_fraction F]   builds the two
//   datasets (corpus.h) info PREFIX describes a .bin/.idx pair
// Writes what it found to `out`. kInvalidArgument explains the usage.
absl::Status RunDataCommand(std::span<const std::string> args, std::ostream& out = std::cout);

}  // namespace weft
