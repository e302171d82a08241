#pragma once

#include "models/model_context.h"
#include "models/parameters.h"
#include "models/transformer/ffn.h"
#include "models/transformer/norm.h"
#include "tensor/device/tensor_arena.h"

namespace weft {

// x + ffn(norm(x)): the second half of a layer without experts.
class DenseFfnBlock {
 public:
  DenseFfnBlock(const ModelContext& context, Bucket& bucket, int32_t layer);

  void Forward(ConstTensorView x, TensorView y);
  void Backward(ConstTensorView dy, ConstTensorView x, TensorView dx);

 private:
  const ModelContext& context_;
  Norm norm_;
  Ffn ffn_;
  TensorArena storage_;
  TensorView pre_, act_, d_pre_, d_act_, d_rows_;
};

}  // namespace weft
