#include "tensor/kernels/cpu/attention.h"

#include <algorithm>
#include <cmath>

namespace weft {
namespace {

constexpr int64_t kTile = kAttentionTile;
constexpr int64_t kScores = kTile * kTile;

int64_t TilesOf(int64_t length) { return (length + kTile - 1) / kTile; }

// The part of `tokens` in a sequence, as rows of it.
RowRange WithinSequence(RowRange tokens, int64_t sequence, int64_t length) {
  const int64_t first = sequence * length;
  return {std::max<int64_t>(tokens.begin - first, 0), std::min(tokens.end - first, length)};
}

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

void Attention::Forward(const AttentionForwardArgs& args, RowRange tokens) {
  const int64_t length = args.length, dim = args.head_dim, group = args.heads / args.kv_heads;
  if (tokens.count() == 0) return;
  const int64_t width = (args.heads + 2 * args.kv_heads) * dim, out_width = args.heads * dim;
  const int64_t tiles = TilesOf(length);
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
  for (int64_t sequence = tokens.begin / length; sequence * length < tokens.end; ++sequence) {
    const RowRange rows = WithinSequence(tokens, sequence, length);
    const float* qkv = args.qkv.as<float>() + sequence * length * width;
    float* out = args.out.as<float>() + sequence * length * out_width;
    for (int64_t head = 0; head < args.heads; ++head) {
      if (head % group == 0) {
        const float* k = qkv + (args.heads + head / group) * dim;
        PackRows(rows.end, dim, 1.0f, k, width, key);
        PackRows(rows.end, dim, 1.0f, k + args.kv_heads * dim, width, value);
      }
      float* lse = args.lse.as<float>() + (sequence * args.heads + head) * length;
      for (int64_t i = rows.begin / kTile; i * kTile < rows.end; ++i) {
        const int64_t begin = i * kTile, count = std::min(kTile, rows.end - begin);
        PackRows(count, dim, scale, qkv + begin * width + head * dim, width, query);
        for (int64_t j = 0; j <= i; ++j) {
          products_.Run(scores_product, query, key + j * kTile * dim, scores + j * kScores);
        }
        loops_.causal_softmax(i + 1, scores, inverse_sum, tile_lse);
        for (int64_t j = 0; j <= i; ++j) {
          products_.Run(j == 0 ? first_value_product : value_product, scores + j * kScores,
                        value + j * kTile * dim, sum);
        }
        loops_.copy_scaled(count, dim, 1.0f, inverse_sum, sum, dim,
                           out + begin * out_width + head * dim, out_width);
        std::copy_n(tile_lse, count, lse + begin);
      }
    }
  }
}

// The queries of a group of heads share keys and values, so they go through the tiles together:
// query_, d_out_, d_query_ and rows_ hold `group` heads side by side.
void Attention::Backward(const AttentionBackwardArgs& args, RowRange tokens) {
  const int64_t length = args.length, dim = args.head_dim, group = args.heads / args.kv_heads;
  if (tokens.count() == 0) return;
  const int64_t width = (args.heads + 2 * args.kv_heads) * dim, out_width = args.heads * dim;
  const int64_t padded = TilesOf(length) * kTile;
  const float scale = 1.0f / std::sqrt(static_cast<float>(dim));
  Product& scores_product = products_.Get({kTile, dim, kTile, false, true, false});
  Product& row_product = products_.Get({kTile, kTile, dim, false, false, true});
  Product& column_product = products_.Get({kTile, kTile, dim, true, false, true});
  float* query = Take(query_, group * padded * dim);
  float* key = Take(key_, padded * dim);
  float* value = Take(value_, padded * dim);
  float* d_out = Take(d_out_, group * padded * dim);
  float* d_query = Take(d_query_, group * padded * dim);
  float* d_key = Take(d_key_, padded * dim);
  float* d_value = Take(d_value_, padded * dim);
  float* p = Take(scores_, kScores);
  float* d_p = Take(d_scores_, kScores);
  float* lse = Take(rows_, 2 * group * padded);
  float* delta = lse + group * padded;
  for (int64_t sequence = tokens.begin / length; sequence * length < tokens.end; ++sequence) {
    const RowRange rows = WithinSequence(tokens, sequence, length);
    const int64_t token = sequence * length;
    const float* qkv = args.qkv.as<float>() + token * width;
    float* d_qkv = args.d_qkv.as<float>() + token * width;
    const int64_t first = token + rows.begin, count = rows.count();
    for (int64_t kv_head = 0; kv_head < args.kv_heads; ++kv_head) {
      const int64_t k_column = (args.heads + kv_head) * dim;
      const int64_t v_column = k_column + args.kv_heads * dim;
      PackRows(rows.end, dim, 1.0f, qkv + k_column, width, key);
      PackRows(rows.end, dim, 1.0f, qkv + v_column, width, value);
      if (rows.end == length) {
        std::fill_n(d_key, padded * dim, 0.0f);
        std::fill_n(d_value, padded * dim, 0.0f);
      } else {
        PackRows(rows.end, dim, 1.0f, d_qkv + k_column, width, d_key);
        PackRows(rows.end, dim, 1.0f, d_qkv + v_column, width, d_value);
      }
      std::fill_n(d_query, group * padded * dim, 0.0f);
      for (int64_t g = 0; g < group; ++g) {
        const int64_t head = kv_head * group + g, at = g * padded;
        const float* d_o = args.d_out.as<float>() + first * out_width + head * dim;
        const float* o = args.out.as<float>() + first * out_width + head * dim;
        PackRows(count, dim, scale, qkv + rows.begin * width + head * dim, width, query + at * dim);
        PackRows(count, dim, 1.0f, d_o, out_width, d_out + at * dim);
        loops_.row_dots(count, dim, out_width, d_o, o, delta + at);
        const float* saved = args.lse.as<float>() + (sequence * args.heads + head) * length;
        std::copy_n(saved + rows.begin, count, lse + at);
        const int64_t padding = TilesOf(count) * kTile - count;
        std::fill_n(lse + at + count, padding, 0.0f);
        std::fill_n(delta + at + count, padding, 0.0f);
      }
      for (int64_t i = (rows.end - 1) / kTile; i >= rows.begin / kTile; --i) {
        for (int64_t g = 0; g < group; ++g) {
          const int64_t row = g * padded + i * kTile - rows.begin, at_i = row * dim;
          for (int64_t j = 0; j <= i; ++j) {
            const int64_t at_j = j * kTile * dim;
            products_.Run(scores_product, query + at_i, key + at_j, p);
            products_.Run(scores_product, d_out + at_i, value + at_j, d_p);
            loops_.softmax_backward(j == i, lse + row, delta + row, p, d_p);
            products_.Run(column_product, p, d_out + at_i, d_value + at_j);
            products_.Run(column_product, d_p, query + at_i, d_key + at_j);
            products_.Run(row_product, d_p, key + at_j, d_query + at_i);
          }
        }
      }
      for (int64_t g = 0; g < group; ++g) {
        // The scale stands in the packed queries: the gradient of the keys has it already.
        loops_.copy_scaled(count, dim, scale, nullptr, d_query + g * padded * dim, dim,
                           d_qkv + rows.begin * width + (kv_head * group + g) * dim, width);
      }
      loops_.copy_scaled(rows.end, dim, 1.0f, nullptr, d_key, dim, d_qkv + k_column, width);
      loops_.copy_scaled(rows.end, dim, 1.0f, nullptr, d_value, dim, d_qkv + v_column, width);
    }
  }
}

}  // namespace weft
