#include "tensor/kernels/cuda/cudnn_attention.h"

namespace weft {

// In the place of cudnn/ where CMake found no headers of cuDNN or of its frontend.
absl::StatusOr<std::unique_ptr<CudnnAttention>> OpenCudnnAttention() {
  return absl::UnavailableError("this build had no cudnn.h or no cudnn_frontend.h");
}

absl::StatusOr<std::unique_ptr<CudnnAttention>> PlanCudnnAttention(const std::string& /*device*/) {
  return OpenCudnnAttention();
}

}  // namespace weft
