#include "tensor/kernels/compute_device.h"
#include "tests/tensor/kernels_support.h"
#include "tests/tensor/staged_kernels.h"

// Every way that a CUDA device computes products.

namespace weft {
namespace {

Implementation Way(const std::string& name, const CudaOptions& options, DType dtype) {
  // One for all tests: a device is slow to open.
  const auto* const device =
      new absl::StatusOr<std::unique_ptr<ComputeDevice>>(MakeCudaDevice(0, options));
  return {name,
          [device]() -> std::unique_ptr<Kernels> {
            return std::make_unique<StagedKernels>((**device)->MakeKernels(),
                                                   StagedKernels::Addresses::kAligned);
          },
          std::string(device->status().message()), dtype,
          options.grouped == GroupedMethod::kOneByOne};
}

}  // namespace

std::vector<Implementation> Implementations() {
  static const auto* const ways = new std::vector<Implementation>{
      Way("cuda_f32", {}, DType::kF32),
      Way("cuda_bf16_plain", {.libraries = false, .grouped = GroupedMethod::kOneByOne},
          DType::kBF16),
      Way("cuda_bf16_one_by_one", {.grouped = GroupedMethod::kOneByOne}, DType::kBF16),
      Way("cuda_bf16_one_launch", {.grouped = GroupedMethod::kOneLaunch}, DType::kBF16)};
  return *ways;
}

}  // namespace weft
