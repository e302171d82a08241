#include "tests/tensor/staged_kernels.h"

#include "tests/support/device_call.h"

namespace weft {

void StagedKernels::Gemm(const GemmArgs& args) {
  DeviceCall call(inner_->memory());
  GemmArgs own = args;
  own.a = call.In(args.a);
  own.b = call.In(args.b);
  own.c = call.Out(args.c);
  inner_->Gemm(own);
}

void StagedKernels::AddBias(ConstTensorView bias, TensorView x) {
  DeviceCall call(inner_->memory());
  inner_->AddBias(call.In(bias), call.Out(x));
}

void StagedKernels::BiasBackward(ConstTensorView dy, TensorView d_bias) {
  DeviceCall call(inner_->memory());
  inner_->BiasBackward(call.In(dy), call.Out(d_bias));
}

void StagedKernels::Add(ConstTensorView a, ConstTensorView b, TensorView y) {
  DeviceCall call(inner_->memory());
  inner_->Add(call.In(a), call.In(b), call.Out(y));
}

void StagedKernels::Scale(float factor, TensorView x) {
  DeviceCall call(inner_->memory());
  inner_->Scale(factor, call.Out(x));
}

namespace {

NormForwardArgs Staged(DeviceCall& call, const NormForwardArgs& args) {
  return {call.In(args.x),  call.In(args.gamma), call.In(args.beta), args.epsilon,
          call.Out(args.y), call.Out(args.mean), call.Out(args.rstd)};
}

NormBackwardArgs Staged(DeviceCall& call, const NormBackwardArgs& args) {
  return {call.In(args.dy),   call.In(args.x),   call.In(args.gamma),    call.In(args.mean),
          call.In(args.rstd), call.Out(args.dx), call.Out(args.d_gamma), call.Out(args.d_beta)};
}

}  // namespace

void StagedKernels::LayerNormForward(const NormForwardArgs& args) {
  DeviceCall call(inner_->memory());
  inner_->LayerNormForward(Staged(call, args));
}

void StagedKernels::LayerNormBackward(const NormBackwardArgs& args) {
  DeviceCall call(inner_->memory());
  inner_->LayerNormBackward(Staged(call, args));
}

void StagedKernels::RmsNormForward(const NormForwardArgs& args) {
  DeviceCall call(inner_->memory());
  inner_->RmsNormForward(Staged(call, args));
}

void StagedKernels::RmsNormBackward(const NormBackwardArgs& args) {
  DeviceCall call(inner_->memory());
  inner_->RmsNormBackward(Staged(call, args));
}

void StagedKernels::Rope(const RopeArgs& args) {
  DeviceCall call(inner_->memory());
  RopeArgs own = args;
  own.x = call.Out(args.x);
  inner_->Rope(own);
}

void StagedKernels::AttentionForward(const AttentionForwardArgs& args) {
  DeviceCall call(inner_->memory());
  AttentionForwardArgs own = args;
  own.qkv = call.In(args.qkv);
  own.out = call.Out(args.out);
  own.lse = call.Out(args.lse);
  inner_->AttentionForward(own);
}

void StagedKernels::AttentionBackward(const AttentionBackwardArgs& args) {
  DeviceCall call(inner_->memory());
  AttentionBackwardArgs own = args;
  own.qkv = call.In(args.qkv);
  own.out = call.In(args.out);
  own.lse = call.In(args.lse);
  own.d_out = call.In(args.d_out);
  own.d_qkv = call.Out(args.d_qkv);
  inner_->AttentionBackward(own);
}

void StagedKernels::GeluForward(ConstTensorView x, TensorView y) {
  DeviceCall call(inner_->memory());
  inner_->GeluForward(call.In(x), call.Out(y));
}

void StagedKernels::GeluBackward(ConstTensorView dy, ConstTensorView x, TensorView dx) {
  DeviceCall call(inner_->memory());
  inner_->GeluBackward(call.In(dy), call.In(x), call.Out(dx));
}

void StagedKernels::SwigluForward(ConstTensorView gate_up, TensorView y) {
  DeviceCall call(inner_->memory());
  inner_->SwigluForward(call.In(gate_up), call.Out(y));
}

void StagedKernels::SwigluBackward(ConstTensorView dy, ConstTensorView gate_up,
                                   TensorView d_gate_up) {
  DeviceCall call(inner_->memory());
  inner_->SwigluBackward(call.In(dy), call.In(gate_up), call.Out(d_gate_up));
}

void StagedKernels::EmbeddingForward(ConstTensorView tokens, ConstTensorView table,
                                     ConstTensorView positions, int64_t length, TensorView y) {
  DeviceCall call(inner_->memory());
  inner_->EmbeddingForward(call.In(tokens), call.In(table), call.In(positions), length,
                           call.Out(y));
}

void StagedKernels::EmbeddingBackward(ConstTensorView dy, ConstTensorView tokens, int64_t length,
                                      TensorView d_table, TensorView d_positions) {
  DeviceCall call(inner_->memory());
  inner_->EmbeddingBackward(call.In(dy), call.In(tokens), length, call.Out(d_table),
                            call.Out(d_positions));
}

void StagedKernels::GateForward(const GateForwardArgs& args) {
  DeviceCall call(inner_->memory());
  GateForwardArgs own = args;
  own.logits = call.In(args.logits);
  own.probs = call.Out(args.probs);
  own.experts = call.Out(args.experts);
  own.weights = call.Out(args.weights);
  inner_->GateForward(own);
}

void StagedKernels::GateBackward(const GateBackwardArgs& args) {
  DeviceCall call(inner_->memory());
  inner_->GateBackward({call.In(args.probs), call.In(args.experts), call.In(args.weights),
                        call.In(args.d_weights), call.In(args.d_probs), args.renormalize,
                        call.Out(args.d_logits)});
}

void StagedKernels::BalanceLoss(const BalanceLossArgs& args) {
  DeviceCall call(inner_->memory());
  inner_->BalanceLoss({call.In(args.probs), call.In(args.experts), args.length, args.coefficient,
                       call.Out(args.d_probs), call.Out(args.loss_sum)});
}

void StagedKernels::CopyRows(ConstTensorView from, std::span<const RowBlock> blocks,
                             TensorView to) {
  DeviceCall call(inner_->memory());
  inner_->CopyRows(call.In(from), blocks, call.Out(to));
}

void StagedKernels::GatherRows(ConstTensorView x, ConstTensorView index, TensorView y) {
  DeviceCall call(inner_->memory());
  inner_->GatherRows(call.In(x), call.In(index), call.Out(y));
}

void StagedKernels::GatherScaledRows(ConstTensorView x, ConstTensorView index,
                                     ConstTensorView weight, TensorView y) {
  DeviceCall call(inner_->memory());
  inner_->GatherScaledRows(call.In(x), call.In(index), call.In(weight), call.Out(y));
}

void StagedKernels::GatherSum(ConstTensorView x, ConstTensorView slot, ConstTensorView weight,
                              bool accumulate, TensorView y) {
  DeviceCall call(inner_->memory());
  inner_->GatherSum(call.In(x), call.In(slot), call.In(weight), accumulate, call.Out(y));
}

void StagedKernels::GatherDot(ConstTensorView a, ConstTensorView x, ConstTensorView slot,
                              TensorView d) {
  DeviceCall call(inner_->memory());
  inner_->GatherDot(call.In(a), call.In(x), call.In(slot), call.Out(d));
}

void StagedKernels::CrossEntropy(const CrossEntropyArgs& args) {
  DeviceCall call(inner_->memory());
  inner_->CrossEntropy({call.Out(args.logits), call.In(args.labels), args.scale, args.want_gradient,
                        call.Out(args.loss_sum)});
}

void StagedKernels::AdamW(const AdamWArgs& args) {
  DeviceCall call(inner_->memory());
  AdamWArgs own = args;
  own.parameter = call.Out(args.parameter);
  own.m = call.Out(args.m);
  own.v = call.Out(args.v);
  own.gradient = call.In(args.gradient);
  inner_->AdamW(own);
}

void StagedKernels::SumOfSquares(ConstTensorView x, TensorView sum) {
  DeviceCall call(inner_->memory());
  inner_->SumOfSquares(call.In(x), call.Out(sum));
}

}  // namespace weft
