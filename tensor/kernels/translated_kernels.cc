#include "tensor/kernels/translated_kernels.h"

namespace weft {

void TranslatedKernels::Gemm(const GemmArgs& args) {
  GemmArgs own = args;
  own.a = In(args.a, Type::kT);
  own.b = In(args.b, Type::kT);
  own.c = Out(args.c, args.c.dtype == args.a.dtype ? Type::kT : Type::kFixed,
              args.accumulate ? Before::kKept : Before::kOverwritten);
  inner_->Gemm(own);
  End();
}

void TranslatedKernels::GroupedGemm(const GroupedGemmArgs& args) {
  GroupedGemmArgs own = args;
  own.a = In(args.a, Type::kT);
  matrices_.clear();
  for (const ConstTensorView& b : args.b) matrices_.push_back(In(b, Type::kT));
  own.b = matrices_;
  own.c = Out(args.c, Type::kT);
  inner_->GroupedGemm(own);
  End();
}

void TranslatedKernels::GroupedWgrad(const GroupedWgradArgs& args) {
  GroupedWgradArgs own = args;
  own.a = In(args.a, Type::kT);
  own.b = In(args.b, Type::kT);
  gradients_.clear();
  for (const TensorView& c : args.c) gradients_.push_back(InOut(c));
  own.c = gradients_;
  inner_->GroupedWgrad(own);
  End();
}

void TranslatedKernels::AddBias(ConstTensorView bias, TensorView x) {
  const ConstTensorView read = In(bias, Type::kT);
  inner_->AddBias(read, InOut(x, Type::kT));
  End();
}

void TranslatedKernels::BiasBackward(ConstTensorView dy, TensorView d_bias) {
  const ConstTensorView read = In(dy, Type::kT);
  inner_->BiasBackward(read, InOut(d_bias));
  End();
}

void TranslatedKernels::Add(ConstTensorView a, ConstTensorView b, TensorView y) {
  const ConstTensorView read_a = In(a, Type::kT), read_b = In(b, Type::kT);
  inner_->Add(read_a, read_b, Out(y, Type::kT));
  End();
}

void TranslatedKernels::Scale(float factor, TensorView x) {
  inner_->Scale(factor, InOut(x, Type::kT));
  End();
}

// Both types are the caller's choice.
void TranslatedKernels::Convert(ConstTensorView from, TensorView to) {
  const ConstTensorView read = In(from);
  inner_->Convert(read, Out(to));
  End();
}

NormForwardArgs TranslatedKernels::Of(const NormForwardArgs& args) {
  NormForwardArgs own = args;
  own.x = In(args.x, Type::kT);
  own.gamma = In(args.gamma, Type::kT);
  own.beta = In(args.beta, Type::kT);
  own.y = Out(args.y, Type::kT);
  own.mean = Out(args.mean);
  own.rstd = Out(args.rstd);
  return own;
}

NormBackwardArgs TranslatedKernels::Of(const NormBackwardArgs& args) {
  NormBackwardArgs own = args;
  own.dy = In(args.dy, Type::kT);
  own.x = In(args.x, Type::kT);
  own.gamma = In(args.gamma, Type::kT);
  own.mean = In(args.mean);
  own.rstd = In(args.rstd);
  own.dx = Out(args.dx, Type::kT);
  own.d_gamma = InOut(args.d_gamma);
  own.d_beta = InOut(args.d_beta);
  return own;
}

void TranslatedKernels::LayerNormForward(const NormForwardArgs& args) {
  inner_->LayerNormForward(Of(args));
  End();
}

void TranslatedKernels::LayerNormBackward(const NormBackwardArgs& args) {
  inner_->LayerNormBackward(Of(args));
  End();
}

void TranslatedKernels::RmsNormForward(const NormForwardArgs& args) {
  inner_->RmsNormForward(Of(args));
  End();
}

void TranslatedKernels::RmsNormBackward(const NormBackwardArgs& args) {
  inner_->RmsNormBackward(Of(args));
  End();
}

void TranslatedKernels::Rope(const RopeArgs& args) {
  RopeArgs own = args;
  own.x = InOut(args.x, Type::kT);
  inner_->Rope(own);
  End();
}

void TranslatedKernels::AttentionForward(const AttentionForwardArgs& args) {
  AttentionForwardArgs own = args;
  own.qkv = In(args.qkv, Type::kT);
  // A piece leaves the rows of the others alone.
  own.out = InOut(args.out, Type::kT);
  own.lse = InOut(args.lse);
  inner_->AttentionForward(own);
  End();
}

void TranslatedKernels::AttentionBackward(const AttentionBackwardArgs& args) {
  AttentionBackwardArgs own = args;
  own.qkv = In(args.qkv, Type::kT);
  own.out = In(args.out, Type::kT);
  own.lse = In(args.lse);
  own.d_out = In(args.d_out, Type::kT);
  own.d_qkv = InOut(args.d_qkv, Type::kT);
  own.d_kv = InOut(args.d_kv);
  inner_->AttentionBackward(own);
  End();
}

void TranslatedKernels::GeluForward(ConstTensorView x, TensorView y) {
  const ConstTensorView read = In(x, Type::kT);
  inner_->GeluForward(read, Out(y, Type::kT));
  End();
}

void TranslatedKernels::GeluBackward(ConstTensorView dy, ConstTensorView x, TensorView dx) {
  const ConstTensorView read_dy = In(dy, Type::kT), read_x = In(x, Type::kT);
  inner_->GeluBackward(read_dy, read_x, Out(dx, Type::kT));
  End();
}

void TranslatedKernels::SwigluForward(ConstTensorView gate_up, TensorView y) {
  const ConstTensorView read = In(gate_up, Type::kT);
  inner_->SwigluForward(read, Out(y, Type::kT));
  End();
}

void TranslatedKernels::SwigluBackward(ConstTensorView dy, ConstTensorView gate_up,
                                       TensorView d_gate_up) {
  const ConstTensorView read_dy = In(dy, Type::kT), read = In(gate_up, Type::kT);
  inner_->SwigluBackward(read_dy, read, Out(d_gate_up, Type::kT));
  End();
}

void TranslatedKernels::EmbeddingForward(ConstTensorView tokens, ConstTensorView table,
                                         ConstTensorView positions, int64_t length, TensorView y) {
  const ConstTensorView read_tokens = In(tokens), read_table = In(table, Type::kT);
  const ConstTensorView read_positions = In(positions, Type::kT);
  inner_->EmbeddingForward(read_tokens, read_table, read_positions, length, Out(y, Type::kT));
  End();
}

void TranslatedKernels::EmbeddingBackward(ConstTensorView dy, ConstTensorView tokens,
                                          int64_t length, TensorView d_table,
                                          TensorView d_positions) {
  const ConstTensorView read_dy = In(dy, Type::kT), read_tokens = In(tokens);
  const TensorView table = InOut(d_table);
  inner_->EmbeddingBackward(read_dy, read_tokens, length, table, InOut(d_positions));
  End();
}

void TranslatedKernels::GateForward(const GateForwardArgs& args) {
  GateForwardArgs own = args;
  own.logits = In(args.logits);
  own.probs = Out(args.probs);
  own.experts = Out(args.experts, Type::kFixed, args.forced ? Before::kKept : Before::kOverwritten);
  own.weights = Out(args.weights);
  inner_->GateForward(own);
  End();
}

void TranslatedKernels::GateBackward(const GateBackwardArgs& args) {
  GateBackwardArgs own = args;
  own.probs = In(args.probs);
  own.experts = In(args.experts);
  own.weights = In(args.weights);
  own.d_weights = In(args.d_weights);
  own.d_probs = In(args.d_probs);
  own.d_logits = Out(args.d_logits, Type::kT);
  inner_->GateBackward(own);
  End();
}

void TranslatedKernels::BalanceLoss(const BalanceLossArgs& args) {
  BalanceLossArgs own = args;
  own.probs = In(args.probs);
  own.experts = In(args.experts);
  own.d_probs = Out(args.d_probs);
  own.loss_sum = InOut(args.loss_sum);
  inner_->BalanceLoss(own);
  End();
}

void TranslatedKernels::AssignRows(const AssignRowsArgs& args) {
  AssignRowsArgs own = args;
  own.experts = In(args.experts);
  own.slots_begin = In(args.slots_begin);
  own.slots = In(args.slots);
  own.segment_ends = In(args.segment_ends);
  own.kept = InOut(args.kept);
  own.chosen = InOut(args.chosen);
  own.counts = InOut(args.counts);
  own.slot = Out(args.slot);
  own.row = Out(args.row);
  inner_->AssignRows(own);
  End();
}

void TranslatedKernels::PlaceRows(const PlaceRowsArgs& args) {
  PlaceRowsArgs own = args;
  own.slot = In(args.slot);
  own.row = In(args.row);
  own.ends = In(args.ends);
  own.shifts = In(args.shifts);
  own.place = Out(args.place);
  own.token = InOut(args.token);
  own.choice = InOut(args.choice);
  inner_->PlaceRows(own);
  End();
}

// Bytes, whatever they mean.
void TranslatedKernels::CopyRows(ConstTensorView from, std::span<const RowBlock> blocks,
                                 TensorView to) {
  const ConstTensorView read = In(from);
  inner_->CopyRows(read, blocks, InOut(to));
  End();
}

void TranslatedKernels::GatherRows(ConstTensorView x, ConstTensorView index, TensorView y) {
  const ConstTensorView read = In(x, Type::kT), read_index = In(index);
  inner_->GatherRows(read, read_index, Out(y, Type::kT));
  End();
}

void TranslatedKernels::GatherScaledRows(ConstTensorView x, ConstTensorView index,
                                         ConstTensorView weight, TensorView y) {
  const ConstTensorView read = In(x, Type::kT), read_index = In(index), by = In(weight);
  inner_->GatherScaledRows(read, read_index, by, Out(y, Type::kT));
  End();
}

void TranslatedKernels::GatherSum(ConstTensorView x, ConstTensorView slot, ConstTensorView weight,
                                  bool accumulate, TensorView y) {
  const ConstTensorView read = In(x, Type::kT), read_slot = In(slot), by = In(weight);
  inner_->GatherSum(read, read_slot, by, accumulate,
                    Out(y, Type::kT, accumulate ? Before::kKept : Before::kOverwritten));
  End();
}

void TranslatedKernels::GatherDot(ConstTensorView a, ConstTensorView x, ConstTensorView slot,
                                  TensorView d) {
  const ConstTensorView read_a = In(a, Type::kT), read = In(x, Type::kT), read_slot = In(slot);
  inner_->GatherDot(read_a, read, read_slot, Out(d));
  End();
}

void TranslatedKernels::CrossEntropy(const CrossEntropyArgs& args) {
  CrossEntropyArgs own = args;
  own.logits = InOut(args.logits, Type::kT);
  own.labels = In(args.labels);
  own.loss_sum = InOut(args.loss_sum);
  inner_->CrossEntropy(own);
  End();
}

void TranslatedKernels::AdamW(const AdamWArgs& args) {
  AdamWArgs own = args;
  own.parameter = InOut(args.parameter);
  own.m = InOut(args.m);
  own.v = InOut(args.v);
  own.gradient = In(args.gradient);
  own.rounded = Out(args.rounded);
  inner_->AdamW(own);
  End();
}

void TranslatedKernels::SumOfSquares(ConstTensorView x, TensorView sum) {
  const ConstTensorView read = In(x);
  inner_->SumOfSquares(read, InOut(sum));
  End();
}

}  // namespace weft
