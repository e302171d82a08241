#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "comm/nccl/nccl_library.h"

namespace weft {

// Opens this library; it stays open. kUnavailable, in a sentence, when it is not there, lacks a
// function, or is older than the headers of this build.
absl::StatusOr<NcclLibrary> OpenNccl(const std::string& name);

}  // namespace weft
