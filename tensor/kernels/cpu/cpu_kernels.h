#pragma once

#include "tensor/device/buffer.h"
#include "tensor/kernels/cpu/attention.h"
#include "tensor/kernels/cpu/gemm.h"
#include "tensor/kernels/cpu/loops/loops.h"
#include "tensor/kernels/cpu/products.h"
#include "tensor/kernels/cpu/rope_table.h"
#include "tensor/kernels/host_kernels.h"

namespace weft {

// What is fast on a processor: oneDNN for matrix products, vectorised loops for the rest. This
// class checks the shapes and hands plain pointers on. Objects share nothing. Scratch memory and
// compiled products grow during the first steps and then stay.
class CpuKernels final : public HostKernels {
 public:
  explicit CpuKernels(const Loops& loops) : loops_(loops) {}

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
  const Loops& loops_;
  Products products_;
  weft::Gemm gemm_{products_};
  Attention attention_{products_, loops_};
  RopeTable rope_table_;
  Buffer scratch_;
};

}  // namespace weft
