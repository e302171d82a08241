#pragma once

#include <string>

#include "models/model_context.h"
#include "models/parameters.h"
#include "tensor/device/tensor_arena.h"

namespace weft {

// LayerNorm (GPT-2) or RMSNorm (Mixtral) over [tokens, hidden], remembering what its backward
// needs.
class Norm {
 public:
  // Of the rank's own tokens, or of more.
  Norm(const ModelContext& context, Bucket& bucket, const std::string& name)
      : Norm(context, bucket, name, context.batch.tokens()) {}
  Norm(const ModelContext& context, Bucket& bucket, const std::string& name, int64_t tokens);

  // Rows `rows` of y [tokens, hidden], valid until the next Forward of them. x [tokens, hidden]
  // must stay alive for the backward.
  TensorView Forward(ConstTensorView x, RowRange rows);
  TensorView Forward(ConstTensorView x) { return Forward(x, {0, x.dim(0)}); }
  // dx is overwritten; parameter gradients accumulate.
  void Backward(ConstTensorView dy, ConstTensorView x, TensorView dx);
  // The two halves: dx of rows `rows` from their dy, [rows, hidden] both; the parameters, over all
  // tokens.
  void BackwardData(ConstTensorView dy, ConstTensorView x, TensorView dx, RowRange rows);
  void BackwardWeight(ConstTensorView dy, ConstTensorView x);
  TensorView output() const { return y_; }

 private:
  void Run(NormBackwardArgs args);

  const ModelContext& context_;
  bool layer_norm_;
  TensorView gamma_, beta_, d_gamma_, d_beta_;
  TensorArena storage_;
  TensorView y_, mean_, rstd_;
};

}  // namespace weft
