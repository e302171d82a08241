#pragma once

#include "tensor/device/buffer.h"
#include "tensor/kernels/cpu/loops/loops.h"
#include "tensor/kernels/cpu/products.h"
#include "tensor/kernels/kernels.h"
#include "tensor/row_range.h"

// Causal attention by tiles of 64 queries and 64 keys: every matrix product has one of six fixed
// shapes, tiles above the diagonal are never touched, and a sequence whose length is no multiple of
// 64 is padded with zero rows. The forward keeps the scores of one tile of queries (64 * length) at
// a time; the backward recomputes them from the saved log-sum-exp (Dao et al. 2022,
// "FlashAttention", algorithm 4).

namespace weft {

class Attention {
 public:
  // REQUIRES: both outlive *this.
  Attention(Products& products, const Loops& loops) : products_(products), loops_(loops) {}

  // Queries `tokens` of all sequences (kernels.h). The sums of the keys' and values' gradients take
  // tiles of queries from the last to the first, and of one tile the heads in order: a piece goes
  // on where the one behind it stopped, with the bits of one pass.
  void Forward(const AttentionForwardArgs& args, RowRange tokens);
  void Backward(const AttentionBackwardArgs& args, RowRange tokens);

 private:
  // [tokens, head_dim] of one head inside rows of `stride` floats -> dense, padded to whole tiles,
  // times `factor`.
  void PackRows(int64_t length, int64_t head_dim, float factor, const float* in, int64_t stride,
                float* out);

  Products& products_;
  const Loops& loops_;
  Buffer query_, key_, value_, scores_, d_scores_, d_out_, d_query_, d_key_, d_value_, rows_;
};

}  // namespace weft
