#include "bench/timed_kernels.h"

#include "base/thread_clock.h"

namespace weft {
template <typename Call>
void TimedKernels::Time(const char* name, const Call& call) {
  const double begin = ThreadSeconds();
  call();
  Total& total = totals_[name];
  total.seconds += ThreadSeconds() - begin;
  ++total.calls;
}

void TimedKernels::Reset() {
  totals_.clear();
  gemm_flops_ = 0;
}

void TimedKernels::Gemm(const GemmArgs& args) {
  const int64_t depth = args.transpose_a ? args.a.dim(0) : args.a.dim(1);
  gemm_flops_ += 2.0 * static_cast<double>(args.c.elements()) * static_cast<double>(depth);
  Time("Gemm", [&] { inner_.Gemm(args); });
}
void TimedKernels::AddBias(ConstTensorView bias, TensorView x) {
  Time("AddBias", [&] { inner_.AddBias(bias, x); });
}
void TimedKernels::BiasBackward(ConstTensorView dy, TensorView d_bias) {
  Time("BiasBackward", [&] { inner_.BiasBackward(dy, d_bias); });
}
void TimedKernels::Add(ConstTensorView a, ConstTensorView b, TensorView y) {
  Time("Add", [&] { inner_.Add(a, b, y); });
}
void TimedKernels::Scale(float factor, TensorView x) {
  Time("Scale", [&] { inner_.Scale(factor, x); });
}
void TimedKernels::LayerNormForward(const NormForwardArgs& args) {
  Time("LayerNormForward", [&] { inner_.LayerNormForward(args); });
}
void TimedKernels::LayerNormBackward(const NormBackwardArgs& args) {
  Time("LayerNormBackward", [&] { inner_.LayerNormBackward(args); });
}
void TimedKernels::RmsNormForward(const NormForwardArgs& args) {
  Time("RmsNormForward", [&] { inner_.RmsNormForward(args); });
}
void TimedKernels::RmsNormBackward(const NormBackwardArgs& args) {
  Time("RmsNormBackward", [&] { inner_.RmsNormBackward(args); });
}
void TimedKernels::Rope(const RopeArgs& args) {
  Time("Rope", [&] { inner_.Rope(args); });
}
void TimedKernels::AttentionForward(const AttentionForwardArgs& args) {
  Time("AttentionForward", [&] { inner_.AttentionForward(args); });
}
void TimedKernels::AttentionBackward(const AttentionBackwardArgs& args) {
  Time("AttentionBackward", [&] { inner_.AttentionBackward(args); });
}
void TimedKernels::GeluForward(ConstTensorView x, TensorView y) {
  Time("GeluForward", [&] { inner_.GeluForward(x, y); });
}
void TimedKernels::GeluBackward(ConstTensorView dy, ConstTensorView x, TensorView dx) {
  Time("GeluBackward", [&] { inner_.GeluBackward(dy, x, dx); });
}
void TimedKernels::SwigluForward(ConstTensorView gate_up, TensorView y) {
  Time("SwigluForward", [&] { inner_.SwigluForward(gate_up, y); });
}
void TimedKernels::SwigluBackward(ConstTensorView dy, ConstTensorView gate_up,
                                  TensorView d_gate_up) {
  Time("SwigluBackward", [&] { inner_.SwigluBackward(dy, gate_up, d_gate_up); });
}
void TimedKernels::EmbeddingForward(ConstTensorView tokens, ConstTensorView table,
                                    ConstTensorView positions, int64_t length, TensorView y) {
  Time("EmbeddingForward", [&] { inner_.EmbeddingForward(tokens, table, positions, length, y); });
}
void TimedKernels::EmbeddingBackward(ConstTensorView dy, ConstTensorView tokens, int64_t length,
                                     TensorView d_table, TensorView d_positions) {
  Time("EmbeddingBackward",
       [&] { inner_.EmbeddingBackward(dy, tokens, length, d_table, d_positions); });
}
void TimedKernels::GateForward(const GateForwardArgs& args) {
  Time("GateForward", [&] { inner_.GateForward(args); });
}
void TimedKernels::GateBackward(const GateBackwardArgs& args) {
  Time("GateBackward", [&] { inner_.GateBackward(args); });
}
void TimedKernels::GatherRows(ConstTensorView x, ConstTensorView index, TensorView y) {
  Time("GatherRows", [&] { inner_.GatherRows(x, index, y); });
}
void TimedKernels::GatherScaledRows(ConstTensorView x, ConstTensorView index,
                                    ConstTensorView weight, TensorView y) {
  Time("GatherScaledRows", [&] { inner_.GatherScaledRows(x, index, weight, y); });
}
void TimedKernels::GatherSum(ConstTensorView x, ConstTensorView slot, ConstTensorView weight,
                             bool accumulate, TensorView y) {
  Time("GatherSum", [&] { inner_.GatherSum(x, slot, weight, accumulate, y); });
}
void TimedKernels::GatherDot(ConstTensorView a, ConstTensorView x, ConstTensorView slot,
                             TensorView d) {
  Time("GatherDot", [&] { inner_.GatherDot(a, x, slot, d); });
}
void TimedKernels::CrossEntropy(const CrossEntropyArgs& args) {
  Time("CrossEntropy", [&] { inner_.CrossEntropy(args); });
}
void TimedKernels::AdamW(const AdamWArgs& args) {
  Time("AdamW", [&] { inner_.AdamW(args); });
}
double TimedKernels::SumOfSquares(ConstTensorView x) {
  double sum = 0;
  Time("SumOfSquares", [&] { sum = inner_.SumOfSquares(x); });
  return sum;
}

}  // namespace weft
