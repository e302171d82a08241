#include "models/transformer/linear.h"

#include "absl/strings/str_cat.h"

namespace weft {

Linear::Linear(Bucket& weights, Bucket& biases, const std::string& name) {
  const Parameter& weight = weights.Find(absl::StrCat(name, ".weight"));
  weight_ = weights.Weight(weight);
  d_weight_ = weights.Gradient(weight);
  const std::string bias_name = absl::StrCat(name, ".bias");
  for (const Parameter& p : biases.parameters) {
    if (p.name != bias_name) continue;
    bias_ = biases.Weight(p);
    d_bias_ = biases.Gradient(p);
  }
}

void Linear::Forward(Kernels& kernels, ConstTensorView x, TensorView y) const {
  ForwardProduct(kernels, x, y);
  AddBias(kernels, y);
}

void Linear::ForwardProduct(Kernels& kernels, ConstTensorView x, TensorView y) const {
  kernels.Gemm({.a = x, .b = weight_, .c = y, .transpose_b = true});
}

void Linear::AddBias(Kernels& kernels, TensorView y) const {
  if (bias_.data != nullptr) kernels.AddBias(bias_, y);
}

void Linear::BackwardData(Kernels& kernels, ConstTensorView dy, TensorView dx,
                          bool accumulate) const {
  kernels.Gemm({.a = dy, .b = weight_, .c = dx, .accumulate = accumulate});
}

void Linear::BackwardWeight(Kernels& kernels, ConstTensorView dy, ConstTensorView x) const {
  BackwardProduct(kernels, dy, x);
  BackwardBias(kernels, dy);
}

void Linear::BackwardProduct(Kernels& kernels, ConstTensorView dy, ConstTensorView x) const {
  kernels.Gemm({.a = dy, .b = x, .c = d_weight_, .transpose_a = true, .accumulate = true});
}

void Linear::BackwardBias(Kernels& kernels, ConstTensorView dy) const {
  if (d_bias_.data != nullptr) kernels.BiasBackward(dy, d_bias_);
}

}  // namespace weft
