#pragma once

#include "models/model_context.h"
#include "models/parameters.h"
#include "models/transformer/ffn.h"
#include "tensor/device/tensor_arena.h"
#include "tensor/row_range.h"

namespace weft {

// The experts of an MoE layer that every token visits (DeepSeekMoE, eq. 9): together one
// feed-forward network on the normed tokens, whole on every rank. It exchanges nothing, so that it
// can run while the others' rows travel.
class SharedExperts {
 public:
  SharedExperts(const ModelContext& context, Bucket& dense, int32_t layer);

  // Rows `tokens` of y = FFN(x); x: the layer's norm's output. x, y [tokens, hidden], which stay
  // alive until the weights' gradients.
  void Forward(RowRange tokens, ConstTensorView x, TensorView y);
  // Rows `tokens` of dx from those of dy, which are kept.
  void Backward(RowRange tokens, ConstTensorView dy, TensorView dx);
  // One sum over all tokens. REQUIRES: Backward of all of them has ended.
  void BackwardWeights(ConstTensorView x);

 private:
  const ModelContext& context_;
  Ffn ffn_;
  TensorArena storage_;
  TensorView pre_, act_, d_pre_, d_act_, dy_;
};

}  // namespace weft
