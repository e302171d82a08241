#include "tensor/kernels/compute_device.h"
#include "tests/tensor/kernels_support.h"
#include "tests/tensor/staged_kernels.h"

namespace weft {

std::vector<Implementation> Implementations() {
  // One for all tests: a device is slow to open.
  static const auto* const device =
      new absl::StatusOr<std::unique_ptr<ComputeDevice>>(MakeCudaDevice(0));
  return {{"cuda",
           []() -> std::unique_ptr<Kernels> {
             return std::make_unique<StagedKernels>((**device)->MakeKernels());
           },
           std::string(device->status().message())}};
}

}  // namespace weft
