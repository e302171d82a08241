#pragma once

#include "models/model_context.h"
#include "models/parameters.h"
#include "models/transformer/linear.h"
#include "models/transformer/norm.h"

namespace weft {

// x + out(attention(qkv(norm(x)))): causal self-attention with grouped queries; RoPE for the
// Mixtral backbone.
class AttentionBlock {
 public:
  AttentionBlock(const ModelContext& context, Bucket& bucket, int32_t layer);

  // x, y [tokens, hidden]. x must stay alive and unchanged until the backward.
  void Forward(ConstTensorView x, TensorView y);
  void Backward(ConstTensorView dy, ConstTensorView x, TensorView dx);

 private:
  void Rope(TensorView qkv, bool inverse);

  const ModelContext& context_;
  Norm norm_;
  Linear qkv_, out_;
  Buffer storage_;
  TensorView qkv_rows_, attended_, lse_, d_qkv_rows_, d_rows_;
};

}  // namespace weft
