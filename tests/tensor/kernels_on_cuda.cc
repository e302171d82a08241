#include "tensor/kernels/compute_device.h"
#include "tests/tensor/kernels_support.h"
#include "tests/tensor/staged_kernels.h"

// Weft's own kernels on a CUDA device; those of libraries: products_on_cuda.cc,
// attention_on_cuda.cc.

namespace weft {

std::vector<Implementation> Implementations() {
  // One for all tests: a device is slow to open.
  static const auto* const device =
      new absl::StatusOr<std::unique_ptr<ComputeDevice>>(MakeCudaDevice(0, {.libraries = false}));
  const auto make = []() -> std::unique_ptr<Kernels> {
    return std::make_unique<StagedKernels>((**device)->MakeKernels());
  };
  const std::string unavailable(device->status().message());
  return {{"cuda", make, unavailable}, {"cuda_bf16", make, unavailable, DType::kBF16}};
}

}  // namespace weft
