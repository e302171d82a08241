#include "tensor/kernels/cpu/cpu_kernels.h"

#include <cmath>

#include "tensor/kernels/check_args.h"
#include "tensor/kernels/cpu/loops/select.h"
#include "tensor/kernels/mixed_kernels.h"

namespace weft {

std::unique_ptr<Kernels> MakeCpuKernels() {
  return std::make_unique<MixedKernels>(std::make_unique<CpuKernels>(*RunnableLoops().front()));
}

void CpuKernels::Gemm(const GemmArgs& args) {
  const auto [m, k, n] = CheckGemm(args);
  const float* a = args.a.as<float>();
  const float* b = args.b.as<float>();
  float* c = args.c.as<float>();
  if (args.transpose_a) {
    gemm_.RunColumns(m, k, n, args.transpose_b, args.accumulate, a, b, c);
  } else {
    gemm_.RunRows(m, k, n, args.transpose_b, args.accumulate, a, b, c);
  }
}

void CpuKernels::AddBias(ConstTensorView bias, TensorView x) {
  CheckBias(bias, x);
  loops_.add_bias(x.dim(0), x.dim(1), bias.as<float>(), x.as<float>());
}

void CpuKernels::BiasBackward(ConstTensorView dy, TensorView d_bias) {
  CheckBias(d_bias, dy);
  loops_.bias_backward(dy.dim(0), dy.dim(1), dy.as<float>(), d_bias.as<float>());
}

void CpuKernels::Add(ConstTensorView a, ConstTensorView b, TensorView y) {
  CheckSameElements(a, b);
  CheckSameElements(a, y);
  loops_.add(y.elements(), a.as<float>(), b.as<float>(), y.as<float>());
}

void CpuKernels::Scale(float factor, TensorView x) {
  loops_.scale(x.elements(), factor, x.as<float>());
}

void CpuKernels::SumOfSquares(ConstTensorView x, TensorView sum) {
  CheckSum(sum);
  *sum.as<double>() += loops_.sum_of_squares(x.elements(), x.as<float>());
}

void CpuKernels::LayerNormForward(const NormForwardArgs& args) {
  CheckNormForward(args, true);
  loops_.norm_forward({args.x.dim(0), args.x.dim(1), args.x.as<float>(), args.gamma.as<float>(),
                       args.beta.as<float>(), args.epsilon, args.y.as<float>(),
                       args.mean.as<float>(), args.rstd.as<float>()});
}

void CpuKernels::RmsNormForward(const NormForwardArgs& args) {
  CheckNormForward(args, false);
  loops_.norm_forward({args.x.dim(0), args.x.dim(1), args.x.as<float>(), args.gamma.as<float>(),
                       nullptr, args.epsilon, args.y.as<float>(), nullptr, args.rstd.as<float>()});
}

void CpuKernels::LayerNormBackward(const NormBackwardArgs& args) {
  CheckNormBackward(args, true);
  const int64_t width = args.x.dim(1);
  loops_.norm_backward({args.x.dim(0), width, args.dy.as<float>(), args.x.as<float>(),
                        args.gamma.as<float>(), args.mean.as<float>(), args.rstd.as<float>(),
                        args.dx.as<float>(), args.d_gamma.as<float>(), args.d_beta.as<float>(),
                        scratch_.Ensure<float>({2 * width}).as<float>()});
}

void CpuKernels::RmsNormBackward(const NormBackwardArgs& args) {
  CheckNormBackward(args, false);
  const int64_t width = args.x.dim(1);
  loops_.norm_backward({args.x.dim(0), width, args.dy.as<float>(), args.x.as<float>(),
                        args.gamma.as<float>(), nullptr, args.rstd.as<float>(), args.dx.as<float>(),
                        args.d_gamma.as<float>(), nullptr,
                        scratch_.Ensure<float>({2 * width}).as<float>()});
}

void CpuKernels::Rope(const RopeArgs& args) {
  CheckRope(args);
  const RopeTable::Entry& table = rope_table_.Get(args.length, args.head_dim, args.theta);
  loops_.rope(args.begin, args.x.dim(0), args.length, args.x.dim(1), args.rotated_heads,
              args.head_dim, args.inverse ? -1.0f : 1.0f, table.cosine.data(), table.sine.data(),
              args.x.as<float>());
}

void CpuKernels::AttentionForward(const AttentionForwardArgs& args) {
  attention_.Forward(args, CheckAttentionForward(args));
}

void CpuKernels::AttentionBackward(const AttentionBackwardArgs& args) {
  attention_.Backward(args, CheckAttentionBackward(args));
}

void CpuKernels::GeluForward(ConstTensorView x, TensorView y) {
  CheckSameElements(x, y);
  loops_.gelu_forward(x.elements(), x.as<float>(), y.as<float>());
}

void CpuKernels::GeluBackward(ConstTensorView dy, ConstTensorView x, TensorView dx) {
  CheckSameElements(dy, x);
  CheckSameElements(dx, x);
  loops_.gelu_backward(x.elements(), dy.as<float>(), x.as<float>(), dx.as<float>());
}

void CpuKernels::SwigluForward(ConstTensorView gate_up, TensorView y) {
  CheckSwiglu(gate_up, y);
  loops_.swiglu_forward(y.dim(0), y.dim(1), gate_up.as<float>(), y.as<float>());
}

void CpuKernels::SwigluBackward(ConstTensorView dy, ConstTensorView gate_up, TensorView d_gate_up) {
  CheckSwiglu(gate_up, dy);
  CheckSwiglu(d_gate_up, dy);
  loops_.swiglu_backward(dy.dim(0), dy.dim(1), dy.as<float>(), gate_up.as<float>(),
                         d_gate_up.as<float>());
}

void CpuKernels::EmbeddingForward(ConstTensorView tokens, ConstTensorView table,
                                  ConstTensorView positions, int64_t length, TensorView y) {
  CheckEmbeddingForward(tokens, table, positions, length, y);
  loops_.embedding_forward(y.dim(0), y.dim(1), length, tokens.as<int32_t>(), table.as<float>(),
                           positions.as<float>(), y.as<float>());
}

void CpuKernels::EmbeddingBackward(ConstTensorView dy, ConstTensorView tokens, int64_t length,
                                   TensorView d_table, TensorView d_positions) {
  CheckEmbeddingBackward(dy, tokens, length, d_table, d_positions);
  loops_.embedding_backward(dy.dim(0), dy.dim(1), length, dy.as<float>(), tokens.as<int32_t>(),
                            d_table.as<float>(), d_positions.as<float>());
}

void CpuKernels::GateForward(const GateForwardArgs& args) {
  CheckGateForward(args);
  loops_.gate_forward({args.logits.dim(0), args.logits.dim(1), args.top_k, args.logits.as<float>(),
                       args.renormalize, args.probs.as<float>(), args.experts.as<int32_t>(),
                       args.weights.as<float>(), args.forced});
}

void CpuKernels::GateBackward(const GateBackwardArgs& args) {
  CheckGateBackward(args);
  const int64_t experts = args.probs.dim(1);
  loops_.gate_backward({args.probs.dim(0), experts, args.experts.dim(1), args.probs.as<float>(),
                        args.experts.as<int32_t>(), args.weights.as<float>(),
                        args.d_weights.as<float>(), args.d_probs.as<float>(), args.renormalize,
                        args.d_logits.as<float>(), scratch_.Ensure<float>({experts}).as<float>()});
}

void CpuKernels::GatherRows(ConstTensorView x, ConstTensorView index, TensorView y) {
  CheckGather(x, index, {}, y);
  loops_.gather_rows(y.dim(0), y.dim(1), x.as<float>(), index.as<int32_t>(), nullptr,
                     y.as<float>());
}

void CpuKernels::GatherScaledRows(ConstTensorView x, ConstTensorView index, ConstTensorView weight,
                                  TensorView y) {
  CheckGather(x, index, weight, y);
  loops_.gather_rows(y.dim(0), y.dim(1), x.as<float>(), index.as<int32_t>(), weight.as<float>(),
                     y.as<float>());
}

void CpuKernels::GatherSum(ConstTensorView x, ConstTensorView slot, ConstTensorView weight,
                           bool accumulate, TensorView y) {
  CheckGatherSum(x, slot, weight, y);
  loops_.gather_sum(y.dim(0), y.dim(1), slot.dim(1), x.as<float>(), slot.as<int32_t>(),
                    weight.as<float>(), accumulate, y.as<float>());
}

void CpuKernels::GatherDot(ConstTensorView a, ConstTensorView x, ConstTensorView slot,
                           TensorView d) {
  CheckGatherDot(a, x, slot, d);
  loops_.gather_dot(a.dim(0), a.dim(1), slot.dim(1), a.as<float>(), x.as<float>(),
                    slot.as<int32_t>(), d.as<float>());
}

void CpuKernels::CrossEntropy(const CrossEntropyArgs& args) {
  CheckCrossEntropy(args);
  *args.loss_sum.as<double>() +=
      loops_.cross_entropy(args.logits.dim(0), args.logits.dim(1), args.labels.as<int32_t>(),
                           args.scale, args.want_gradient, args.logits.as<float>());
}

void CpuKernels::AdamW(const AdamWArgs& args) {
  CheckAdamW(args);
  const double step = static_cast<double>(args.step);
  AdamWLoopArgs loop;
  loop.n = args.parameter.elements();
  loop.parameter = args.parameter.as<float>();
  loop.m = args.m.as<float>();
  loop.v = args.v.as<float>();
  loop.gradient = args.gradient.as<float>();
  loop.learning_rate = static_cast<float>(args.learning_rate);
  loop.beta1 = static_cast<float>(args.beta1);
  loop.one_minus_beta1 = static_cast<float>(1.0 - args.beta1);
  loop.beta2 = static_cast<float>(args.beta2);
  loop.one_minus_beta2 = static_cast<float>(1.0 - args.beta2);
  loop.epsilon = static_cast<float>(args.epsilon);
  loop.weight_decay = static_cast<float>(args.weight_decay);
  loop.gradient_scale = static_cast<float>(args.gradient_scale);
  loop.inverse_m_correction = static_cast<float>(1.0 / (1.0 - std::pow(args.beta1, step)));
  loop.inverse_v_correction = static_cast<float>(1.0 / (1.0 - std::pow(args.beta2, step)));
  loops_.adamw(loop);
}

}  // namespace weft
