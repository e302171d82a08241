#include "tests/tensor/rounded_kernels.h"

namespace weft {

TensorView RoundedKernels::Round(const ConstTensorView& view) {
  const float* const from = view.as<float>();
  std::vector<BFloat16>& operand = operands_.emplace_back();
  for (int64_t i = 0; i < view.elements(); ++i) operand.push_back(BFloat16::FromFloat(from[i]));
  operand.resize(operand.size() + 1);  // an empty one is somewhere, too
  return View(operand.data(), view.shape);
}

ConstTensorView RoundedKernels::Read(const ConstTensorView& view, Type type) {
  return type == Type::kT ? Round(view) : view;
}

TensorView RoundedKernels::Written(const TensorView& view, Type type, Before /*before*/) {
  if (type != Type::kT || keep_c_) return view;
  results_.push_back({Round(view), view});
  return results_.back().bf16;
}

void RoundedKernels::End() {
  for (const auto& [bf16, fp32] : results_) {
    const auto* const from = bf16.as<BFloat16>();
    for (int64_t i = 0; i < bf16.elements(); ++i) fp32.as<float>()[i] = from[i].ToFloat();
  }
  results_.clear();
  operands_.clear();
}

void RoundedKernels::Gemm(const GemmArgs& args) {
  keep_c_ = args.accumulate && args.transpose_a;
  TranslatedKernels::Gemm(args);
  keep_c_ = false;
}

void RoundedKernels::AttentionBackward(const AttentionBackwardArgs& args) {
  AttentionBackwardArgs own = args;
  const Shape shape = {args.qkv.dim(0), 2 * args.kv_heads * args.head_dim};
  d_kv_.resize(static_cast<size_t>(shape.elements()));
  own.d_kv = View(d_kv_.data(), shape);
  TranslatedKernels::AttentionBackward(own);
}

}  // namespace weft
