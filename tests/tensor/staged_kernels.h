#pragma once

#include <memory>
#include <vector>

#include "tensor/device/buffer.h"
#include "tensor/kernels/kernels.h"

namespace weft {

// Kernels of a device for tests whose tensors are on the host: what a call names is copied to the
// device, and back when it may have been written.
class StagedKernels final : public Kernels {
 public:
  explicit StagedKernels(std::unique_ptr<Kernels> inner) : inner_(std::move(inner)) {}

  Memory& memory() override { return HostMemory(); }
  void Gemm(const GemmArgs& args) override;
  void AddBias(ConstTensorView bias, TensorView x) override;
  void BiasBackward(ConstTensorView dy, TensorView d_bias) override;
  void Add(ConstTensorView a, ConstTensorView b, TensorView y) override;
  void Scale(float factor, TensorView x) override;
  void LayerNormForward(const NormForwardArgs& args) override;
  void LayerNormBackward(const NormBackwardArgs& args) override;
  void RmsNormForward(const NormForwardArgs& args) override;
  void RmsNormBackward(const NormBackwardArgs& args) override;
  void Rope(const RopeArgs& args) override;
  void AttentionForward(const AttentionForwardArgs& args) override;
  void AttentionBackward(const AttentionBackwardArgs& args) override;
  void GeluForward(ConstTensorView x, TensorView y) override;
  void GeluBackward(ConstTensorView dy, ConstTensorView x, TensorView dx) override;
  void SwigluForward(ConstTensorView gate_up, TensorView y) override;
  void SwigluBackward(ConstTensorView dy, ConstTensorView gate_up, TensorView d_gate_up) override;
  void EmbeddingForward(ConstTensorView tokens, ConstTensorView table, ConstTensorView positions,
                        int64_t length, TensorView y) override;
  void EmbeddingBackward(ConstTensorView dy, ConstTensorView tokens, int64_t length,
                         TensorView d_table, TensorView d_positions) override;
  void GateForward(const GateForwardArgs& args) override;
  void GateBackward(const GateBackwardArgs& args) override;
  void BalanceLoss(const BalanceLossArgs& args) override;
  void CopyRows(ConstTensorView from, std::span<const RowBlock> blocks, TensorView to) override;
  void GatherRows(ConstTensorView x, ConstTensorView index, TensorView y) override;
  void GatherScaledRows(ConstTensorView x, ConstTensorView index, ConstTensorView weight,
                        TensorView y) override;
  void GatherSum(ConstTensorView x, ConstTensorView slot, ConstTensorView weight, bool accumulate,
                 TensorView y) override;
  void GatherDot(ConstTensorView a, ConstTensorView x, ConstTensorView slot, TensorView d) override;
  void CrossEntropy(const CrossEntropyArgs& args) override;
  void AdamW(const AdamWArgs& args) override;
  void SumOfSquares(ConstTensorView x, TensorView sum) override;

 private:
  std::unique_ptr<Kernels> inner_;
};

}  // namespace weft
