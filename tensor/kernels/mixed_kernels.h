#pragma once

#include <deque>
#include <memory>

#include "tensor/device/buffer.h"
#include "tensor/kernels/translated_kernels.h"

namespace weft {

// Kernels of the host for tensors in bf16, by kernels that know fp32 alone: operands in bf16 are
// widened, the operation is done in fp32, and what it has written is rounded, once. Right, and a
// little slower than fp32: on a CPU bf16 is there to try what a device will do. Operands in fp32
// are passed on as they are.
class MixedKernels final : public TranslatedKernels {
 public:
  // `fp32`: in host memory.
  explicit MixedKernels(std::unique_ptr<Kernels> fp32) : TranslatedKernels(std::move(fp32)) {}

  Memory& memory() override { return inner().memory(); }
  void GroupedGemm(const GroupedGemmArgs& args) override;
  void GroupedWgrad(const GroupedWgradArgs& args) override;
  // These two without scratch: others may call them at the same time.
  void Add(ConstTensorView a, ConstTensorView b, TensorView y) override;
  void CopyRows(ConstTensorView from, std::span<const RowBlock> blocks, TensorView to) override;
  void Convert(ConstTensorView from, TensorView to) override { inner().Convert(from, to); }
  void AttentionBackward(const AttentionBackwardArgs& args) override;
  void AdamW(const AdamWArgs& args) override;

 private:
  ConstTensorView Read(const ConstTensorView& view, Type type) override;
  TensorView Written(const TensorView& view, Type type, Before before) override;
  void End() override;
  TensorView Scratch(const Shape& shape);

  struct Rounded {
    TensorView fp32, bf16;
  };
  std::deque<Buffer> scratch_;  // of one operand each
  size_t used_ = 0;
  std::vector<Rounded> written_;
};

}  // namespace weft
