#pragma once

#include <memory>
#include <vector>

#include "tensor/kernels/kernels.h"

namespace weft {

// Kernels that do every operation with others, which get something else in place of each operand:
// the same numbers of another type, or in another memory. A subclass says what; operands without
// data are passed on as they are.
class TranslatedKernels : public Kernels {
 public:
  std::span<const GroupedMethod> grouped_methods() const override {
    return inner_->grouped_methods();
  }
  GroupedMethod grouped_method() const override { return inner_->grouped_method(); }
  void UseGroupedMethod(GroupedMethod method) override { inner_->UseGroupedMethod(method); }
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
  // What kernels.h says of an operand's type.
  enum class Type : uint8_t { kT, kFixed };
  // What the call before has left in an operand that it writes.
  enum class Before : uint8_t { kOverwritten, kKept };

  explicit TranslatedKernels(std::unique_ptr<Kernels> inner) : inner_(std::move(inner)) {}
  Kernels& inner() { return *inner_; }

  // What the others get of the call that is being made, in place of `view`. The same view may come
  // twice in a call: one that is read may alias one that is written. REQUIRES: view.data.
  virtual ConstTensorView Read(const ConstTensorView& view, Type type) = 0;
  virtual TensorView Written(const TensorView& view, Type type, Before before) = 0;
  // The call has been made.
  virtual void End() = 0;

 private:
  ConstTensorView In(const ConstTensorView& view, Type type = Type::kFixed) {
    return view.data == nullptr ? view : Read(view, type);
  }
  TensorView Out(const TensorView& view, Type type = Type::kFixed,
                 Before before = Before::kOverwritten) {
    return view.data == nullptr ? view : Written(view, type, before);
  }
  TensorView InOut(const TensorView& view, Type type = Type::kFixed) {
    return Out(view, type, Before::kKept);
  }
  NormForwardArgs Of(const NormForwardArgs& args);
  NormBackwardArgs Of(const NormBackwardArgs& args);

  const std::unique_ptr<Kernels> inner_;
  std::vector<ConstTensorView> matrices_;  // of a grouped call
  std::vector<TensorView> gradients_;
};

}  // namespace weft
