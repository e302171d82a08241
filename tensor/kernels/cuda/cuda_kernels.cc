#include "tensor/kernels/cuda/cuda_kernels.h"

#include <utility>

#include "tensor/kernels/cuda/products.h"

namespace weft {

CudaKernels::CudaKernels(CudaQueue& queue, Memory& memory, std::unique_ptr<Products> products)
    : queue_(queue), memory_(memory), scratch_(memory), products_(std::move(products)) {}

CudaKernels::~CudaKernels() = default;

std::span<const GroupedMethod> CudaKernels::grouped_methods() const {
  return Products::grouped_methods();
}

GroupedMethod CudaKernels::grouped_method() const { return products_->grouped_method(); }

void CudaKernels::UseGroupedMethod(GroupedMethod method) { products_->UseGroupedMethod(method); }

void CudaKernels::Gemm(const GemmArgs& args) { products_->Gemm(args); }

void CudaKernels::GroupedGemm(const GroupedGemmArgs& args) { products_->GroupedGemm(args); }

void CudaKernels::GroupedWgrad(const GroupedWgradArgs& args) { products_->GroupedWgrad(args); }

}  // namespace weft
