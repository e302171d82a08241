#pragma once

#include <cstdint>

#include "tensor/kernels/attention_tile.h"

// Every vectorised loop of the CPU kernels as a table of functions over plain pointers; one table
// per instruction set, chosen once per process. Rows are dense; what each loop computes is said in
// kernels.h. This header is included by files compiled for several instruction sets: it declares
// data only, no inline function.

namespace weft {

struct NormLoopArgs {
  int64_t rows, width;
  const float* x;
  const float* gamma;
  const float* beta;  // null: RmsNorm, no centring
  float epsilon;
  float* y;
  float* mean;  // null with beta
  float* rstd;
};

struct NormBackwardLoopArgs {
  int64_t rows, width;
  const float* dy;
  const float* x;
  const float* gamma;
  const float* mean;  // null: RmsNorm
  const float* rstd;
  float* dx;       // null: not wanted
  float* d_gamma;  // null: not wanted
  float* d_beta;   // null with d_gamma or mean
  float* scratch;  // 2 * width floats
};

struct GateLoopArgs {
  int64_t tokens, experts, top_k;
  const float* logits;
  bool renormalize;
  float* probs;
  int32_t* chosen;
  float* weights;
  bool forced;  // `chosen` is given
};

struct GateBackwardLoopArgs {
  int64_t tokens, experts, top_k;
  const float* probs;
  const int32_t* chosen;
  const float* weights;
  const float* d_weights;
  const float* d_probs;
  bool renormalize;
  float* d_logits;
  float* scratch;  // experts floats
};

struct AdamWLoopArgs {
  int64_t n;
  float* parameter;
  float* m;
  float* v;
  const float* gradient;
  float learning_rate, beta1, one_minus_beta1, beta2, one_minus_beta2, epsilon, weight_decay;
  float gradient_scale, inverse_m_correction, inverse_v_correction;
};

struct Loops {
  const char* name;  // the instruction set, for messages and benchmarks

  void (*add_bias)(int64_t rows, int64_t n, const float* bias, float* x);
  void (*bias_backward)(int64_t rows, int64_t n, const float* dy, float* d_bias);
  void (*add)(int64_t n, const float* a, const float* b, float* y);
  void (*scale)(int64_t n, float factor, float* x);
  double (*sum_of_squares)(int64_t n, const float* x);

  void (*norm_forward)(const NormLoopArgs& args);
  void (*norm_backward)(const NormBackwardLoopArgs& args);

  // cosine, sine: [length, head_dim / 2]; `direction` is 1, or -1 to turn back; row i is token
  // `begin` + i.
  void (*rope)(int64_t begin, int64_t rows, int64_t length, int64_t width, int64_t heads,
               int64_t head_dim, float direction, const float* cosine, const float* sine, float* x);

  void (*gelu_forward)(int64_t n, const float* x, float* y);
  void (*gelu_backward)(int64_t n, const float* dy, const float* x, float* dx);
  void (*swiglu_forward)(int64_t rows, int64_t n, const float* gate_up, float* y);
  void (*swiglu_backward)(int64_t rows, int64_t n, const float* dy, const float* gate_up,
                          float* d_gate_up);

  // positions may be null.
  void (*embedding_forward)(int64_t rows, int64_t width, int64_t length, const int32_t* tokens,
                            const float* table, const float* positions, float* y);
  void (*embedding_backward)(int64_t rows, int64_t width, int64_t length, const float* dy,
                             const int32_t* tokens, float* d_table, float* d_positions);

  void (*gate_forward)(const GateLoopArgs& args);
  void (*gate_backward)(const GateBackwardLoopArgs& args);

  // weight may be null: the rows as they are.
  void (*gather_rows)(int64_t rows, int64_t width, const float* x, const int32_t* index,
                      const float* weight, float* y);
  void (*gather_sum)(int64_t rows, int64_t width, int64_t top_k, const float* x,
                     const int32_t* slot, const float* weight, bool accumulate, float* y);
  void (*gather_dot)(int64_t rows, int64_t width, int64_t top_k, const float* a, const float* x,
                     const int32_t* slot, float* d);

  double (*cross_entropy)(int64_t rows, int64_t vocab, const int32_t* labels, float scale,
                          bool want_gradient, float* logits);
  void (*adamw)(const AdamWLoopArgs& args);

  // scores: `tiles` tiles [tile][kAttentionTile][kAttentionTile] side by side, the last one on the
  // diagonal. A row becomes e^(score - the row's largest), 0 beyond the diagonal; inverse_sum[row]
  // is 1 / the row's sum, lse[row] as in kernels.h.
  void (*causal_softmax)(int64_t tiles, float* scores, float* inverse_sum, float* lse);
  // scores -> p = exp(scores - lse[row]), zero beyond the diagonal when `diagonal`; dp -> p * (dp -
  // delta[row]).
  void (*softmax_backward)(bool diagonal, const float* lse, const float* delta, float* scores,
                           float* dp);
  // out[row] = factor * row_factor[row] * in[row]; row_factor may be null (all 1); row strides in
  // elements.
  void (*copy_scaled)(int64_t rows, int64_t width, float factor, const float* row_factor,
                      const float* in, int64_t in_stride, float* out, int64_t out_stride);
  // delta[row] = dot(a[row], b[row]), rows `stride` apart.
  void (*row_dots)(int64_t rows, int64_t width, int64_t stride, const float* a, const float* b,
                   float* delta);
};

}  // namespace weft
