#pragma once

#include <string>

#include "models/parameters.h"
#include "tensor/kernels/kernels.h"

namespace weft {

// y = x W^T (+ bias) with W [out, in]. Holds views only; activations belong to the caller.
class Linear {
 public:
  Linear() = default;
  // Takes `name`.weight and, when the bucket has it, `name`.bias.
  Linear(Bucket& bucket, const std::string& name) : Linear(bucket, bucket, name) {}
  // The same, from a bucket each.
  Linear(Bucket& weights, Bucket& biases, const std::string& name);

  void Forward(Kernels& kernels, ConstTensorView x, TensorView y) const;
  // dx = dy W.
  void BackwardData(Kernels& kernels, ConstTensorView dy, TensorView dx,
                    bool accumulate = false) const;
  // dW += dy^T x, d_bias += column sums of dy.
  void BackwardWeight(Kernels& kernels, ConstTensorView dy, ConstTensorView x) const;
  // The two halves of Forward and of BackwardWeight, where rows and bias are added apart.
  void ForwardProduct(Kernels& kernels, ConstTensorView x, TensorView y) const;
  void AddBias(Kernels& kernels, TensorView y) const;
  void BackwardProduct(Kernels& kernels, ConstTensorView dy, ConstTensorView x) const;
  void BackwardBias(Kernels& kernels, ConstTensorView dy) const;

  int64_t out_features() const { return weight_.dim(0); }
  const TensorView& weight() const { return weight_; }
  const TensorView& d_weight() const { return d_weight_; }

 private:
  TensorView weight_, bias_, d_weight_, d_bias_;
};

}  // namespace weft
