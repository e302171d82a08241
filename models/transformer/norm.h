#pragma once

#include <string>

#include "models/model_context.h"
#include "models/parameters.h"

namespace weft {

// LayerNorm (GPT-2) or RMSNorm (Mixtral) over [tokens, hidden], remembering what its backward
// needs.
class Norm {
 public:
  Norm(const ModelContext& context, Bucket& bucket, const std::string& name);

  // Returns y [tokens, hidden], valid until the next Forward. x must stay alive for the backward.
  TensorView Forward(ConstTensorView x);
  // dx is overwritten; parameter gradients accumulate.
  void Backward(ConstTensorView dy, ConstTensorView x, TensorView dx);
  TensorView output() const { return y_; }

 private:
  const ModelContext& context_;
  bool layer_norm_;
  TensorView gamma_, beta_, d_gamma_, d_beta_;
  Buffer storage_;
  TensorView y_, mean_, rstd_;
};

}  // namespace weft
