#include "tensor/kernels/decorated_kernels.h"

namespace weft {

void DecoratedKernels::Gemm(const GemmArgs& args) {
  Around("Gemm", [&] { inner_.Gemm(args); });
}
void DecoratedKernels::GroupedGemm(const GroupedGemmArgs& args) {
  Around("GroupedGemm", [&] { inner_.GroupedGemm(args); });
}
void DecoratedKernels::GroupedWgrad(const GroupedWgradArgs& args) {
  Around("GroupedWgrad", [&] { inner_.GroupedWgrad(args); });
}
void DecoratedKernels::AddBias(ConstTensorView bias, TensorView x) {
  Around("AddBias", [&] { inner_.AddBias(bias, x); });
}
void DecoratedKernels::BiasBackward(ConstTensorView dy, TensorView d_bias) {
  Around("BiasBackward", [&] { inner_.BiasBackward(dy, d_bias); });
}
void DecoratedKernels::Add(ConstTensorView a, ConstTensorView b, TensorView y) {
  Around("Add", [&] { inner_.Add(a, b, y); });
}
void DecoratedKernels::Scale(float factor, TensorView x) {
  Around("Scale", [&] { inner_.Scale(factor, x); });
}
void DecoratedKernels::Convert(ConstTensorView from, TensorView to) {
  Around("Convert", [&] { inner_.Convert(from, to); });
}
void DecoratedKernels::LayerNormForward(const NormForwardArgs& args) {
  Around("LayerNormForward", [&] { inner_.LayerNormForward(args); });
}
void DecoratedKernels::LayerNormBackward(const NormBackwardArgs& args) {
  Around("LayerNormBackward", [&] { inner_.LayerNormBackward(args); });
}
void DecoratedKernels::RmsNormForward(const NormForwardArgs& args) {
  Around("RmsNormForward", [&] { inner_.RmsNormForward(args); });
}
void DecoratedKernels::RmsNormBackward(const NormBackwardArgs& args) {
  Around("RmsNormBackward", [&] { inner_.RmsNormBackward(args); });
}
void DecoratedKernels::Rope(const RopeArgs& args) {
  Around("Rope", [&] { inner_.Rope(args); });
}
void DecoratedKernels::AttentionForward(const AttentionForwardArgs& args) {
  Around("AttentionForward", [&] { inner_.AttentionForward(args); });
}
void DecoratedKernels::AttentionBackward(const AttentionBackwardArgs& args) {
  Around("AttentionBackward", [&] { inner_.AttentionBackward(args); });
}
void DecoratedKernels::GeluForward(ConstTensorView x, TensorView y) {
  Around("GeluForward", [&] { inner_.GeluForward(x, y); });
}
void DecoratedKernels::GeluBackward(ConstTensorView dy, ConstTensorView x, TensorView dx) {
  Around("GeluBackward", [&] { inner_.GeluBackward(dy, x, dx); });
}
void DecoratedKernels::SwigluForward(ConstTensorView gate_up, TensorView y) {
  Around("SwigluForward", [&] { inner_.SwigluForward(gate_up, y); });
}
void DecoratedKernels::SwigluBackward(ConstTensorView dy, ConstTensorView gate_up,
                                      TensorView d_gate_up) {
  Around("SwigluBackward", [&] { inner_.SwigluBackward(dy, gate_up, d_gate_up); });
}
void DecoratedKernels::EmbeddingForward(ConstTensorView tokens, ConstTensorView table,
                                        ConstTensorView positions, int64_t length, TensorView y) {
  Around("EmbeddingForward", [&] { inner_.EmbeddingForward(tokens, table, positions, length, y); });
}
void DecoratedKernels::EmbeddingBackward(ConstTensorView dy, ConstTensorView tokens, int64_t length,
                                         TensorView d_table, TensorView d_positions) {
  Around("EmbeddingBackward",
         [&] { inner_.EmbeddingBackward(dy, tokens, length, d_table, d_positions); });
}
void DecoratedKernels::GateForward(const GateForwardArgs& args) {
  Around("GateForward", [&] { inner_.GateForward(args); });
}
void DecoratedKernels::GateBackward(const GateBackwardArgs& args) {
  Around("GateBackward", [&] { inner_.GateBackward(args); });
}
void DecoratedKernels::BalanceLoss(const BalanceLossArgs& args) {
  Around("BalanceLoss", [&] { inner_.BalanceLoss(args); });
}
void DecoratedKernels::AssignRows(const AssignRowsArgs& args) {
  Around("AssignRows", [&] { inner_.AssignRows(args); });
}
void DecoratedKernels::PlaceRows(const PlaceRowsArgs& args) {
  Around("PlaceRows", [&] { inner_.PlaceRows(args); });
}
void DecoratedKernels::CopyRows(ConstTensorView from, std::span<const RowBlock> blocks,
                                TensorView to) {
  Around("CopyRows", [&] { inner_.CopyRows(from, blocks, to); });
}
void DecoratedKernels::GatherRows(ConstTensorView x, ConstTensorView index, TensorView y) {
  Around("GatherRows", [&] { inner_.GatherRows(x, index, y); });
}
void DecoratedKernels::GatherScaledRows(ConstTensorView x, ConstTensorView index,
                                        ConstTensorView weight, TensorView y) {
  Around("GatherScaledRows", [&] { inner_.GatherScaledRows(x, index, weight, y); });
}
void DecoratedKernels::GatherSum(ConstTensorView x, ConstTensorView slot, ConstTensorView weight,
                                 bool accumulate, TensorView y) {
  Around("GatherSum", [&] { inner_.GatherSum(x, slot, weight, accumulate, y); });
}
void DecoratedKernels::GatherDot(ConstTensorView a, ConstTensorView x, ConstTensorView slot,
                                 TensorView d) {
  Around("GatherDot", [&] { inner_.GatherDot(a, x, slot, d); });
}
void DecoratedKernels::CrossEntropy(const CrossEntropyArgs& args) {
  Around("CrossEntropy", [&] { inner_.CrossEntropy(args); });
}
void DecoratedKernels::AdamW(const AdamWArgs& args) {
  Around("AdamW", [&] { inner_.AdamW(args); });
}
void DecoratedKernels::SumOfSquares(ConstTensorView x, TensorView sum) {
  Around("SumOfSquares", [&] { inner_.SumOfSquares(x, sum); });
}

}  // namespace weft
