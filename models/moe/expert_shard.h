#pragma once

#include <vector>

#include "models/model_context.h"
#include "models/moe/routing.h"
#include "models/parameters.h"
#include "models/transformer/ffn.h"
#include "tensor/device/buffer.h"

namespace weft {

// This rank's shards of its experts of one layer. Rows come chunk by chunk in arrival order; what
// the backward needs is kept in saved order (models/moe/routing.h), which no pipeline degree
// changes, so that any r_bwd meets any r_fwd and dW is one product per expert over all its rows in
// [source, token] order.
class ExpertShard {
 public:
  ExpertShard(const ModelContext& context, Bucket& bucket, int32_t layer);

  // Before the first chunk of a forward: room for the rows that the counts announced.
  void Reserve(const ArrivalOrder& arrival);

  // Experts' partial outputs for one chunk. input, output: arrival order of the whole layer, [rows,
  // hidden]. Returns the FLOPs done (the regressor).
  double Forward(const ArrivalOrder& arrival, int32_t chunk, ConstTensorView input,
                 TensorView output);
  // Gradients of the chunk's inputs from the gradients of its outputs.
  double Backward(const ArrivalOrder& arrival, int32_t chunk, ConstTensorView d_output,
                  TensorView d_input);
  // dW of all experts, over all rows of the layer. REQUIRES: every chunk's Backward has ended.
  double BackwardWeights(const ArrivalOrder& arrival);

 private:
  // One kept tensor, [saved rows, columns].
  struct Saved {
    Buffer buffer;
    int64_t columns = 0;
    TensorView All(int64_t rows) const { return buffer.view<float>({rows, columns}); }
  };
  double Flops(int64_t rows) const;

  const ModelContext& context_;
  std::vector<Ffn> experts_;
  Saved x_, pre_, act_, dy_, d_pre_;
  // Contiguous rows of one expert in one chunk.
  Buffer chunk_x_, chunk_pre_, chunk_act_, chunk_y_, chunk_d_act_, chunk_d_pre_;
};

}  // namespace weft
