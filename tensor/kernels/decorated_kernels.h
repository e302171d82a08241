#pragma once

#include <string_view>

#include "absl/functional/function_ref.h"
#include "tensor/kernels/kernels.h"

namespace weft {

// Kernels that pass every operation on to others, with something around each call.
class DecoratedKernels : public Kernels {
 public:
  Memory& memory() override { return inner_.memory(); }
  std::span<const GroupedMethod> grouped_methods() const override {
    return inner_.grouped_methods();
  }
  GroupedMethod grouped_method() const override { return inner_.grouped_method(); }
  void UseGroupedMethod(GroupedMethod method) override { inner_.UseGroupedMethod(method); }
  void Gemm(const GemmArgs& args) override;
  void GroupedGemm(const GroupedGemmArgs& args) override;
  void GroupedWgrad(const GroupedWgradArgs& args) override;
  void AddBias(ConstTensorView bias, TensorView x) override;
  void BiasBackward(ConstTensorView dy, TensorView d_bias) override;
  void Add(ConstTensorView a, ConstTensorView b, TensorView y) override;
  void Scale(float factor, TensorView x) override;
  void Convert(ConstTensorView from, TensorView to) override;
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
  void AssignRows(const AssignRowsArgs& args) override;
  void PlaceRows(const PlaceRowsArgs& args) override;
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

 protected:
  // `inner` outlives this.
  explicit DecoratedKernels(Kernels& inner) : inner_(inner) {}
  // REQUIRES: runs `call`, once.
  virtual void Around(std::string_view name, absl::FunctionRef<void()> call) = 0;

 private:
  Kernels& inner_;
};

}  // namespace weft
