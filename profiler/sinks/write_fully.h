#pragma once

#include <string_view>

#include "absl/status/status.h"

namespace weft {

// Writes all bytes to the descriptor, in one write() where the system allows it. kDataLoss: "cannot
// <what>: <errno>".
absl::Status WriteFully(int fd, std::string_view bytes, std::string_view what);

}  // namespace weft
