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

  // Tokens `tokens`, of x, y [tokens, hidden]; pieces come in order. x must stay alive and
  // unchanged until the backward.
  void Forward(RowRange tokens, ConstTensorView x, TensorView y);
  // Pieces come from the last tokens to the first. dy must stay until BackwardWeights.
  void Backward(RowRange tokens, ConstTensorView dy, ConstTensorView x, TensorView dx);
  // Parameter gradients, one sum over all tokens. REQUIRES: every piece's Backward has ended.
  void BackwardWeights(ConstTensorView dy, ConstTensorView x);

 private:
  void Rope(RowRange tokens, TensorView qkv, bool inverse);
  // Sets what both attention argument structs share.
  template <typename Args>
  void SetShape(RowRange tokens, Args& args) const;

  const ModelContext& context_;
  Norm norm_;
  Linear qkv_, out_;
  Buffer storage_;
  TensorView qkv_rows_, attended_, lse_, d_qkv_rows_, d_rows_;
};

}  // namespace weft
