#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "tensor/kernels/translated_kernels.h"

namespace weft {

// Kernels in bf16 for tests whose tensors are in fp32: what may be bf16 is rounded before the call
// and widened after it.
class RoundedKernels final : public TranslatedKernels {
 public:
  // `inner`: takes tensors on the host.
  explicit RoundedKernels(std::unique_ptr<Kernels> inner) : TranslatedKernels(std::move(inner)) {}

  Memory& memory() override { return HostMemory(); }
  // Where a product is added to what was there it is a gradient of weights: fp32.
  void Gemm(const GemmArgs& args) override;
  // With room for what pieces leave for the next one.
  void AttentionBackward(const AttentionBackwardArgs& args) override;

 private:
  ConstTensorView Read(const ConstTensorView& view, Type type) override;
  TensorView Written(const TensorView& view, Type type, Before before) override;
  void End() override;
  TensorView Round(const ConstTensorView& view);

  struct Result {
    TensorView bf16, fp32;
  };
  std::deque<std::vector<BFloat16>> operands_;
  std::vector<Result> results_;
  std::vector<float> d_kv_;
  bool keep_c_ = false;
};

}  // namespace weft
