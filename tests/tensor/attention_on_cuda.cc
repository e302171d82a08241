#include "tensor/kernels/compute_device.h"
#include "tests/tensor/kernels_support.h"
#include "tests/tensor/staged_kernels.h"

// Attention by a device's library. Without one the tests are skipped: Weft's own kernel is tested
// by kernels_on_cuda.cc.

namespace weft {

std::vector<Implementation> Implementations() {
  // One for all tests: a device is slow to open.
  static const auto* const device =
      new absl::StatusOr<std::unique_ptr<ComputeDevice>>(MakeCudaDevice(0));
  const auto make = []() -> std::unique_ptr<Kernels> {
    return std::make_unique<StagedKernels>((**device)->MakeKernels(),
                                           StagedKernels::Addresses::kAligned);
  };
  std::string unavailable(device->status().message());
  if (device->ok() && !(**device)->attention_in_whole_sequences())
    unavailable = (**device)->description();
  return {{.name = "cuda_bf16_library",
           .make = make,
           .unavailable = unavailable,
           .dtype = DType::kBF16,
           .attention_in_whole_sequences = true}};
}

}  // namespace weft
