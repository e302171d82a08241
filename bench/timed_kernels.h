#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "tensor/kernels/kernels.h"

namespace weft {

// Kernels that time what they pass on, by operation. Used by one thread at a time; read between
// steps.
class TimedKernels final : public Kernels {
 public:
  // `inner` outlives this.
  explicit TimedKernels(Kernels& inner) : inner_(inner) {}

  struct Total {
    int64_t calls = 0;
    double seconds =
        0;  // processor time of the calling thread: neighbours on the machine do not count
  };
  const std::map<std::string, Total>& totals() const { return totals_; }
  double gemm_flops() const { return gemm_flops_; }
  void Reset();

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
  double SumOfSquares(ConstTensorView x) override;

 private:
  template <typename Call>
  void Time(const char* name, const Call& call);

  Kernels& inner_;
  std::map<std::string, Total> totals_;
  double gemm_flops_ = 0;
};

}  // namespace weft
