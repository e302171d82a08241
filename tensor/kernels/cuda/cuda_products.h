#pragma once

#include "tensor/device/cuda/cuda_queue.h"
#include "tensor/kernels/compute_device.h"
#include "tensor/kernels/cuda/cublas_lt.h"
#include "tensor/kernels/cuda/grouped_launch.h"
#include "tensor/kernels/cuda/lt_products.h"

namespace weft {

// Who computes a product: cuBLASLt on tensor cores what is in bf16 and aligned; groups of such
// products one launch, or cuBLASLt one by one over several streams; everything else PlainGemm.
// Nothing but types, addresses and sizes decides, and of rows to rows not their number: what has
// the bits of one way in one call has them in every other.
class CudaProducts {
 public:
  // The queue, the memory of its device, and the library, which may be null, outlive it.
  CudaProducts(CudaQueue& queue, Memory& memory, CublasLt* library, int multiprocessors);

  // kOneLaunch where this build has a kernel for groups, and kOneByOne.
  static std::span<const GroupedMethod> grouped_methods();
  GroupedMethod grouped_method() const { return grouped_; }
  // REQUIRES: one of grouped_methods().
  void UseGroupedMethod(GroupedMethod method);

  void Gemm(const GemmArgs& args);
  void GroupedGemm(const GroupedGemmArgs& args);
  void GroupedWgrad(const GroupedWgradArgs& args);

 private:
  template <typename Args>
  void OneByOne(const Args& args);

  CudaQueue& queue_;
  GroupedMethod grouped_ = grouped_methods().front();
  std::optional<LtProducts> lt_;
  GroupedLaunch launch_;
};

// "products by cuBLASLt 13.0.2, of groups also in one launch by CUTLASS 4.2.0", or why not.
std::string DescribeProducts(const absl::StatusOr<std::unique_ptr<CublasLt>>& library);

}  // namespace weft
