#pragma once

#include <string_view>

#include "absl/status/status.h"

namespace weft {

// OK for MPI_SUCCESS; else kUnavailable: "<what>: <MPI's own text>".
absl::Status MpiStatus(int code, std::string_view what);

}  // namespace weft
