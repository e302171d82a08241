#include "absl/status/status.h"
#include "tensor/kernels/compute_device.h"

namespace weft {

// In the place of kernels/cuda where CMake found no CUDA toolkit, or was told not to look.
absl::StatusOr<int> CountCudaDevices() {
  return absl::UnavailableError(
      "no CUDA device: this build has no CUDA (configured with WEFT_CUDA=OFF, or without a CUDA "
      "toolkit)");
}

absl::StatusOr<std::unique_ptr<ComputeDevice>> MakeCudaDevice(int /*ordinal*/,
                                                              const CudaOptions& /*options*/) {
  return CountCudaDevices().status();
}

}  // namespace weft
