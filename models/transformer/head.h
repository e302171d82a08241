#pragma once

#include "models/model_context.h"
#include "models/parameters.h"
#include "models/transformer/norm.h"
#include "tensor/device/tensor_arena.h"

namespace weft {

// What enters and leaves the stack of layers: token (and position) embedding, and the tied head
// with its loss. Loss = sum of -log p(label) over this rank's tokens; its gradient is scaled by 1 /
// global tokens of the step, so that the reduction over ranks and micro-batches is a plain sum.
class EmbeddingAndHead {
 public:
  EmbeddingAndHead(const ModelContext& context, Bucket& outer);

  // tokens [tokens] int32 -> y [tokens, hidden].
  void EmbedForward(ConstTensorView tokens, TensorView y);
  void EmbedBackward(ConstTensorView dy, ConstTensorView tokens);

  // Adds the loss of x [tokens, hidden] against labels [tokens] int32 to loss_sum [1] fp64.
  void HeadForward(ConstTensorView x, ConstTensorView labels, bool want_gradient,
                   TensorView loss_sum);
  // REQUIRES: HeadForward with want_gradient on the same x.
  void HeadBackward(ConstTensorView x, TensorView dx);

  // [tokens, vocab] after a HeadForward without gradient: for tests and generation.
  ConstTensorView logits() const { return logits_; }

 private:
  const ModelContext& context_;
  Norm norm_;
  TensorView table_, d_table_, positions_, d_positions_;
  TensorArena storage_;
  TensorView logits_, d_rows_;
};

}  // namespace weft
