#include "models/transformer/linear.h"

#include "absl/strings/str_cat.h"

namespace weft {

Linear::Linear(Bucket& bucket, const std::string& name) {
  const Parameter& weight = bucket.Find(absl::StrCat(name, ".weight"));
  weight_ = bucket.Value(weight);
  d_weight_ = bucket.Gradient(weight);
  const std::string bias_name = absl::StrCat(name, ".bias");
  for (const Parameter& p : bucket.parameters) {
    if (p.name != bias_name) continue;
    bias_ = bucket.Value(p);
    d_bias_ = bucket.Gradient(p);
  }
}

void Linear::Forward(Kernels& kernels, ConstTensorView x, TensorView y) const {
  kernels.Gemm({.a = x, .b = weight_, .c = y, .transpose_b = true});
  if (bias_.data != nullptr) kernels.AddBias(bias_, y);
}

void Linear::BackwardData(Kernels& kernels, ConstTensorView dy, TensorView dx,
                          bool accumulate) const {
  kernels.Gemm({.a = dy, .b = weight_, .c = dx, .accumulate = accumulate});
}

void Linear::BackwardWeight(Kernels& kernels, ConstTensorView dy, ConstTensorView x) const {
  kernels.Gemm({.a = dy, .b = x, .c = d_weight_, .transpose_a = true, .accumulate = true});
  if (d_bias_.data != nullptr) kernels.BiasBackward(dy, d_bias_);
}

}  // namespace weft
