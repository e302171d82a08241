#include "comm/nccl/make_nccl_backend.h"

namespace weft {

// In the place of the others where CMake found no CUDA or no nccl.h.
absl::Status FindNccl() {
  return absl::UnavailableError(
      "no NCCL: this build has none (configured without CUDA, or without nccl.h)");
}

absl::StatusOr<std::unique_ptr<Backend>> MakeNcclBackend(Backend& /*host*/,
                                                         ComputeDevice& /*device*/,
                                                         const NcclOptions& /*options*/) {
  return FindNccl();
}

}  // namespace weft
