#include "tensor/kernels/cuda/cuda_kernels.h"

#include <utility>

#include "tensor/kernels/check_args.h"
#include "tensor/kernels/cuda/cuda_products.h"
#include "tensor/kernels/cuda/fused_attention.h"

namespace weft {

CudaKernels::CudaKernels(CudaQueue& queue, Memory& memory, std::unique_ptr<CudaProducts> products,
                         std::unique_ptr<FusedAttention> attention)
    : queue_(queue),
      memory_(memory),
      scratch_(memory),
      products_(std::move(products)),
      attention_(std::move(attention)) {}

CudaKernels::~CudaKernels() = default;

std::span<const GroupedMethod> CudaKernels::grouped_methods() const {
  return CudaProducts::grouped_methods();
}

GroupedMethod CudaKernels::grouped_method() const { return products_->grouped_method(); }

void CudaKernels::UseGroupedMethod(GroupedMethod method) { products_->UseGroupedMethod(method); }

void CudaKernels::Gemm(const GemmArgs& args) { products_->Gemm(args); }

void CudaKernels::GroupedGemm(const GroupedGemmArgs& args) { products_->GroupedGemm(args); }

void CudaKernels::GroupedWgrad(const GroupedWgradArgs& args) { products_->GroupedWgrad(args); }

void CudaKernels::AttentionForward(const AttentionForwardArgs& args) {
  const RowRange tokens = CheckAttentionForward(args);
  if (tokens.count() == 0) return;
  if (attention_ != nullptr && attention_->Forward(args, tokens)) return;
  TiledAttentionForward(args, tokens);
}

void CudaKernels::AttentionBackward(const AttentionBackwardArgs& args) {
  const RowRange tokens = CheckAttentionBackward(args);
  if (tokens.count() == 0) return;
  if (attention_ != nullptr && attention_->Backward(args, tokens)) return;
  TiledAttentionBackward(args, tokens);
}

}  // namespace weft
