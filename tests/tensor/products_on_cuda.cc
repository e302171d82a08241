#include <algorithm>

#include "absl/strings/str_cat.h"
#include "tensor/kernels/compute_device.h"
#include "tests/tensor/kernels_support.h"
#include "tests/tensor/staged_kernels.h"

// Every way that a CUDA device computes products.

namespace weft {
namespace {

Implementation Way(const std::string& name, const CudaOptions& options, GroupedMethod method,
                   DType dtype) {
  // One for all tests: a device is slow to open.
  const auto* const device =
      new absl::StatusOr<std::unique_ptr<ComputeDevice>>(MakeCudaDevice(0, options));
  std::string unavailable(device->status().message());
  if (unavailable.empty()) {
    const std::unique_ptr<Kernels> kernels = (**device)->MakeKernels();
    const std::span<const GroupedMethod> methods = kernels->grouped_methods();
    if (std::find(methods.begin(), methods.end(), method) == methods.end())
      unavailable = absl::StrCat("this build has no products of groups ", Name(method));
  }
  return {name,
          [device, method]() -> std::unique_ptr<Kernels> {
            std::unique_ptr<Kernels> kernels = (**device)->MakeKernels();
            kernels->UseGroupedMethod(method);
            return std::make_unique<StagedKernels>(std::move(kernels),
                                                   StagedKernels::Addresses::kAligned);
          },
          unavailable, dtype, method == GroupedMethod::kOneByOne};
}

}  // namespace

std::vector<Implementation> Implementations() {
  static const auto* const ways = new std::vector<Implementation>{
      Way("cuda_f32", {}, GroupedMethod::kOneByOne, DType::kF32),
      Way("cuda_bf16_plain", {.libraries = false}, GroupedMethod::kOneByOne, DType::kBF16),
      Way("cuda_bf16_one_by_one", {}, GroupedMethod::kOneByOne, DType::kBF16),
      Way("cuda_bf16_one_launch", {}, GroupedMethod::kOneLaunch, DType::kBF16)};
  return *ways;
}

}  // namespace weft
