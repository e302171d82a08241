#pragma once

#include "models/model_context.h"
#include "models/parameters.h"
#include "models/transformer/linear.h"
#include "models/transformer/norm.h"
#include "models/transformer/shared_rows.h"
#include "tensor/device/tensor_arena.h"

namespace weft {

// x + out(attention(qkv(norm(x)))): causal self-attention with grouped queries; RoPE for the
// Mixtral backbone.
//
// With MP, this rank's heads for the rows of all members (SharedRows): Gather, Forward, Scatter;
// Gather, Backward, Scatter. What a rank adds to a row of its own before Scatter (residual, bias of
// the output projection) is added once; the rest are sums over heads, which is what Scatter adds
// up: the norm's backward is linear in the gradient of its output. Alone there is nothing to gather
// and Forward and Backward write the results themselves.
class AttentionBlock {
 public:
  // `rows` outlives the block.
  AttentionBlock(const ModelContext& context, Parameters& parameters, SharedRows& rows,
                 int32_t layer);

  // x: the layer's input, forward; dy: the gradient of its output, backward. REQUIRES: MP.
  absl::Status Gather(Direction direction, RowRange tokens, ConstTensorView own, double* size);
  // Tokens `tokens`, of x, y [tokens, hidden]; pieces come in order. x must stay alive and
  // unchanged until the backward. With MP, y is written by Scatter.
  void Forward(RowRange tokens, ConstTensorView x, TensorView y);
  // Pieces come from the last tokens to the first. dy must stay until BackwardWeights.
  void Backward(RowRange tokens, ConstTensorView dy, ConstTensorView x, TensorView dx);
  // Parameter gradients, one sum over all tokens. REQUIRES: every piece's Backward has ended.
  void BackwardWeights(ConstTensorView dy, ConstTensorView x);

 private:
  bool alone() const { return rows_.members() == 1; }
  // All members' rows: gathered, or one's own.
  ConstTensorView All(const TensorView& gathered, ConstTensorView own) const {
    return alone() ? own : gathered;
  }
  void ForwardHeads(RowRange rows, ConstTensorView x, TensorView y);
  void BackwardHeads(RowRange rows, ConstTensorView dy, ConstTensorView x, TensorView dx);
  void Rope(RowRange rows, TensorView qkv, bool inverse);
  // Sets what both attention argument structs share.
  template <typename Args>
  void SetShape(RowRange rows, Args& args) const;

  const ModelContext& context_;
  SharedRows& rows_;
  const int32_t heads_, kv_heads_;  // on this rank
  Norm norm_;
  Linear qkv_, out_;
  TensorArena storage_;
  TensorView x_, dy_;  // gathered
  TensorView qkv_rows_, attended_, lse_, d_qkv_rows_, d_rows_, d_attended_;
  TensorView d_kv_;  // of a bf16 model: see AttentionBackwardArgs
};

}  // namespace weft
