#include "tensor/kernels/cpu/attention.h"

#include <algorithm>
#include <cmath>

namespace weft {
namespace {

constexpr int64_t kTile = kAttentionTile;
constexpr int64_t kScores = kTile * kTile;

float* Take(Buffer& buffer, int64_t elements) {
  return buffer.Ensure<float>({elements}).as<float>();
}

}  // namespace

void Attention::PackRows(int64_t length, int64_t head_dim, float factor, const float* in,
                         int64_t stride, float* out) {
  const int64_t padded = (length + kTile - 1) / kTile * kTile;
  loops_.copy_scaled(length, head_dim, factor, nullptr, in, stride, out, head_dim);
  std::fill(out + length * head_dim, out + padded * head_dim, 0.0f);
}

void Attention::Forward(const AttentionForwardArgs& args) {
  const int64_t length = args.length, dim = args.head_dim, group = args.heads / args.kv_heads;
  if (args.sequences == 0 || length == 0) return;
  const int64_t width = (args.heads + 2 * args.kv_heads) * dim, out_width = args.heads * dim;
  const int64_t tiles = (length + kTile - 1) / kTile;
  const float scale = 1.0f / std::sqrt(static_cast<float>(dim));
  Product& scores_product = products_.Get({kTile, dim, kTile, false, true, false});
  Product& first_value_product = products_.Get({kTile, kTile, dim, false, false, false});
  Product& value_product = products_.Get({kTile, kTile, dim, false, false, true});
  float* query = Take(query_, kTile * dim);
  float* key = Take(key_, tiles * kTile * dim);
  float* value = Take(value_, tiles * kTile * dim);
  float* scores = Take(scores_, tiles * kScores);
  float* sum = Take(d_out_, kTile * dim);
  float* inverse_sum = Take(rows_, 2 * kTile);
  float* tile_lse = inverse_sum + kTile;
  for (int64_t sequence = 0; sequence < args.sequences; ++sequence) {
    const float* qkv = args.qkv.as<float>() + sequence * length * width;
    float* out = args.out.as<float>() + sequence * length * out_width;
    for (int64_t head = 0; head < args.heads; ++head) {
      if (head % group == 0) {
        const float* k = qkv + (args.heads + head / group) * dim;
        PackRows(length, dim, 1.0f, k, width, key);
        PackRows(length, dim, 1.0f, k + args.kv_heads * dim, width, value);
      }
      float* lse = args.lse.as<float>() + (sequence * args.heads + head) * length;
      for (int64_t i = 0; i < tiles; ++i) {
        const int64_t begin = i * kTile, rows = std::min(kTile, length - begin);
        PackRows(rows, dim, scale, qkv + begin * width + head * dim, width, query);
        for (int64_t j = 0; j <= i; ++j) {
          products_.Run(scores_product, query, key + j * kTile * dim, scores + j * kScores);
        }
        loops_.causal_softmax(i + 1, scores, inverse_sum, tile_lse);
        for (int64_t j = 0; j <= i; ++j) {
          products_.Run(j == 0 ? first_value_product : value_product, scores + j * kScores,
                        value + j * kTile * dim, sum);
        }
        loops_.copy_scaled(rows, dim, 1.0f, inverse_sum, sum, dim,
                           out + begin * out_width + head * dim, out_width);
        std::copy_n(tile_lse, rows, lse + begin);
      }
    }
  }
}

void Attention::Backward(const AttentionBackwardArgs& args) {
  const int64_t length = args.length, dim = args.head_dim, group = args.heads / args.kv_heads;
  if (args.sequences == 0 || length == 0) return;
  const int64_t width = (args.heads + 2 * args.kv_heads) * dim, out_width = args.heads * dim;
  const int64_t tiles = (length + kTile - 1) / kTile, padded = tiles * kTile;
  const float scale = 1.0f / std::sqrt(static_cast<float>(dim));
  Product& scores_product = products_.Get({kTile, dim, kTile, false, true, false});
  Product& row_product = products_.Get({kTile, kTile, dim, false, false, true});
  Product& column_product = products_.Get({kTile, kTile, dim, true, false, true});
  float* query = Take(query_, padded * dim);
  float* key = Take(key_, padded * dim);
  float* value = Take(value_, padded * dim);
  float* d_out = Take(d_out_, padded * dim);
  float* d_query = Take(d_query_, padded * dim);
  float* d_key = Take(d_key_, padded * dim);
  float* d_value = Take(d_value_, padded * dim);
  float* p = Take(scores_, kScores);
  float* d_p = Take(d_scores_, kScores);
  float* lse = Take(rows_, 2 * padded);
  float* delta = lse + padded;
  std::fill_n(lse, 2 * padded, 0.0f);
  for (int64_t sequence = 0; sequence < args.sequences; ++sequence) {
    const int64_t token = sequence * length;
    const float* qkv = args.qkv.as<float>() + token * width;
    float* d_qkv = args.d_qkv.as<float>() + token * width;
    for (int64_t head = 0; head < args.heads; ++head) {
      const int64_t k_column = (args.heads + head / group) * dim;
      const int64_t v_column = k_column + args.kv_heads * dim;
      if (head % group == 0) {
        PackRows(length, dim, 1.0f, qkv + k_column, width, key);
        PackRows(length, dim, 1.0f, qkv + v_column, width, value);
        std::fill_n(d_key, padded * dim, 0.0f);
        std::fill_n(d_value, padded * dim, 0.0f);
      }
      const int64_t q_column = head * dim;
      const float* d_o = args.d_out.as<float>() + token * out_width + q_column;
      const float* o = args.out.as<float>() + token * out_width + q_column;
      PackRows(length, dim, scale, qkv + q_column, width, query);
      PackRows(length, dim, 1.0f, d_o, out_width, d_out);
      std::fill_n(d_query, padded * dim, 0.0f);
      loops_.row_dots(length, dim, out_width, d_o, o, delta);
      std::copy_n(args.lse.as<float>() + (sequence * args.heads + head) * length, length, lse);
      for (int64_t i = 0; i < tiles; ++i) {
        const int64_t at_i = i * kTile * dim;
        for (int64_t j = 0; j <= i; ++j) {
          const int64_t at_j = j * kTile * dim;
          products_.Run(scores_product, query + at_i, key + at_j, p);
          products_.Run(scores_product, d_out + at_i, value + at_j, d_p);
          loops_.softmax_backward(j == i, lse + i * kTile, delta + i * kTile, p, d_p);
          products_.Run(column_product, p, d_out + at_i, d_value + at_j);
          products_.Run(column_product, d_p, query + at_i, d_key + at_j);
          products_.Run(row_product, d_p, key + at_j, d_query + at_i);
        }
      }
      // The scale stands in the packed queries: the gradient of the keys has it already.
      loops_.copy_scaled(length, dim, scale, nullptr, d_query, dim, d_qkv + q_column, width);
      if (head % group == group - 1) {
        loops_.copy_scaled(length, dim, 1.0f, nullptr, d_key, dim, d_qkv + k_column, width);
        loops_.copy_scaled(length, dim, 1.0f, nullptr, d_value, dim, d_qkv + v_column, width);
      }
    }
  }
}

}  // namespace weft
