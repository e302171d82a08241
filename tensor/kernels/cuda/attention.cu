#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "tensor/device/cuda/launch.h"
#include "tensor/kernels/cuda/cuda_kernels.h"
#include "tensor/kernels/cuda/dispatch.h"
#include "tensor/kernels/cuda/reduce.h"

// Attention that FusedAttention does not take, and what it is compared with: any type, any piece.
//
// Dao et al. 2022, "FlashAttention", computed in fp32 on the ordinary cores: tiles of keys and
// values in shared memory, softmax as it goes; the backward computes the probabilities again. A
// group of neighbouring threads holds one row: each of them a part of the head's dimensions.
//
// Sums run over tiles of a sequence, from its start in the forward and from its end in the
// gradients of keys and values, so that pieces that end at tiles give the bits of the whole.

namespace weft {
namespace {

constexpr int kTile = static_cast<int>(kAttentionTile);

struct Layout {
  int64_t length, heads, kv_heads, head_dim;
  float scale;  // of the scores

  __device__ int64_t width() const { return (heads + 2 * kv_heads) * head_dim; }
  __device__ int64_t kv_head(int64_t head) const { return head / (heads / kv_heads); }
  __device__ int64_t query(int64_t head) const { return head * head_dim; }
  __device__ int64_t key(int64_t kv_head) const { return (heads + kv_head) * head_dim; }
  __device__ int64_t value(int64_t kv_head) const { return key(kv_head) + kv_heads * head_dim; }
};

// What a call is asked for: tokens [begin, end) of all sequences, and of one sequence.
struct Piece {
  int64_t begin, end;

  __device__ int64_t first(int64_t sequence, int64_t length) const {
    return begin <= sequence * length ? 0 : begin - sequence * length;
  }
  __device__ int64_t last(int64_t sequence, int64_t length) const {
    return end >= (sequence + 1) * length ? length : end - sequence * length;
  }
};

// Rows [first, first + kRows) of a matrix of heads into shared memory, zeros where there is
// nothing.
template <int kRows, int kDims, typename T>
__device__ __forceinline__ void LoadRows(const T* from, int64_t stride, int64_t first,
                                         int64_t limit, int64_t dims, float (*to)[kDims]) {
  for (int i = static_cast<int>(threadIdx.x); i < kRows * kDims;
       i += static_cast<int>(blockDim.x)) {
    const int64_t row = first + i / kDims;
    const int dim = i % kDims;
    to[i / kDims][dim] = row < limit && dim < dims ? ToFloat(from[row * stride + dim]) : 0.0f;
  }
}

// The part of a row that a thread holds.
template <int kEach, typename T>
__device__ __forceinline__ void LoadPart(const T* row, int first, int64_t dims, bool there,
                                         float* to) {
  for (int i = 0; i < kEach; ++i)
    to[i] = there && first + i < dims ? ToFloat(row[first + i]) : 0.0f;
}

template <int kThreadsOfRow>
__device__ __forceinline__ float SumOverRow(float value) {
  for (int lanes = 1; lanes < kThreadsOfRow; lanes *= 2) {
    value += __shfl_xor_sync(kAllLanes, value, lanes);
  }
  return value;
}

// grid: tiles of a sequence, heads, sequences from `first_sequence` on.
template <typename T, int kDims, int kThreadsOfRow, int kKeys>
__global__ __launch_bounds__(kTile* kThreadsOfRow) void AttentionForwardKernel(
    const T* qkv_in, T* out, float* lse_out, Layout at, Piece piece, int64_t first_sequence) {
  constexpr int kEach = kDims / kThreadsOfRow;
  __shared__ float keys[kKeys][kDims];
  __shared__ float values[kKeys][kDims];
  const int64_t sequence = first_sequence + blockIdx.z;
  const int64_t head = blockIdx.y;
  const int64_t tile = static_cast<int64_t>(blockIdx.x) * kTile;
  const int64_t limit = piece.last(sequence, at.length);
  if (tile < piece.first(sequence, at.length) || tile >= limit) return;
  const int64_t t = tile + threadIdx.x / kThreadsOfRow;
  const int part = static_cast<int>(threadIdx.x) % kThreadsOfRow * kEach;
  const T* const qkv = qkv_in + sequence * at.length * at.width();
  float q[kEach];
  float o[kEach] = {};
  LoadPart<kEach>(qkv + t * at.width() + at.query(head), part, at.head_dim, t < at.length, q);
  float largest = -INFINITY;
  float denominator = 0;
  const int64_t end = tile + kTile < at.length ? tile + kTile : at.length;
  for (int64_t first = 0; first < end; first += kKeys) {
    const int64_t kv = at.kv_head(head);
    LoadRows<kKeys, kDims>(qkv + at.key(kv), at.width(), first, at.length, at.head_dim, keys);
    LoadRows<kKeys, kDims>(qkv + at.value(kv), at.width(), first, at.length, at.head_dim, values);
    __syncthreads();
    float scores[kKeys];
    float next = largest;
    for (int key = 0; key < kKeys; ++key) {
      float dot = 0;
      for (int i = 0; i < kEach; ++i) dot += q[i] * keys[key][part + i];
      dot = SumOverRow<kThreadsOfRow>(dot);
      scores[key] = first + key <= t ? at.scale * dot : -INFINITY;
      next = fmaxf(next, scores[key]);
    }
    const float shrink = expf(largest - next);
    denominator *= shrink;
    for (int i = 0; i < kEach; ++i) o[i] *= shrink;
    for (int key = 0; key < kKeys; ++key) {
      const float p = expf(scores[key] - next);
      denominator += p;
      for (int i = 0; i < kEach; ++i) o[i] += p * values[key][part + i];
    }
    largest = next;
    __syncthreads();
  }
  if (t >= at.length) return;
  T* const row = out + ((sequence * at.length + t) * at.heads + head) * at.head_dim;
  for (int i = 0; i < kEach; ++i) {
    if (part + i < at.head_dim) row[part + i] = FromFloat<T>(o[i] / denominator);
  }
  if (part == 0) {
    lse_out[(sequence * at.heads + head) * at.length + t] = largest + logf(denominator);
  }
}

// delta = d_out . out of each head of the piece's tokens, a warp each.
template <typename T>
__global__ void DeltaKernel(const T* out, const T* d_out, float* delta, Layout at,
                            int64_t first_row, int64_t rows) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.y + threadIdx.y;
  if (i >= rows * at.heads) return;
  const int64_t token = first_row + i / at.heads, head = i % at.heads;
  const int64_t begin = (token * at.heads + head) * at.head_dim;
  float sum = 0;
  for (int64_t d = threadIdx.x; d < at.head_dim; d += kWarp)
    sum = fmaf(ToFloat(out[begin + d]), ToFloat(d_out[begin + d]), sum);
  sum = WarpSum(sum);
  const int64_t sequence = token / at.length, t = token % at.length;
  if (threadIdx.x == 0) delta[(sequence * at.heads + head) * at.length + t] = sum;
}

template <typename T, int kDims, int kThreadsOfRow, int kKeys>
__global__ __launch_bounds__(kTile* kThreadsOfRow) void AttentionQueriesKernel(
    const T* qkv_in, const float* lse_in, const float* delta_in, const T* d_out_in, T* d_qkv,
    Layout at, Piece piece, int64_t first_sequence) {
  constexpr int kEach = kDims / kThreadsOfRow;
  __shared__ float keys[kKeys][kDims];
  __shared__ float values[kKeys][kDims];
  const int64_t sequence = first_sequence + blockIdx.z;
  const int64_t head = blockIdx.y;
  const int64_t tile = static_cast<int64_t>(blockIdx.x) * kTile;
  const int64_t limit = piece.last(sequence, at.length);
  if (tile < piece.first(sequence, at.length) || tile >= limit) return;
  const int64_t t = tile + threadIdx.x / kThreadsOfRow;
  const int part = static_cast<int>(threadIdx.x) % kThreadsOfRow * kEach;
  const bool there = t < at.length;
  const int64_t token = sequence * at.length + t;
  const T* const qkv = qkv_in + sequence * at.length * at.width();
  float q[kEach];
  float d_out[kEach];
  float dq[kEach] = {};
  LoadPart<kEach>(qkv + t * at.width() + at.query(head), part, at.head_dim, there, q);
  LoadPart<kEach>(d_out_in + (token * at.heads + head) * at.head_dim, part, at.head_dim, there,
                  d_out);
  const int64_t statistic = (sequence * at.heads + head) * at.length + t;
  const float lse = there ? lse_in[statistic] : 0.0f;
  const float delta = there ? delta_in[statistic] : 0.0f;
  const int64_t end = tile + kTile < at.length ? tile + kTile : at.length;
  for (int64_t first = 0; first < end; first += kKeys) {
    const int64_t kv = at.kv_head(head);
    LoadRows<kKeys, kDims>(qkv + at.key(kv), at.width(), first, at.length, at.head_dim, keys);
    LoadRows<kKeys, kDims>(qkv + at.value(kv), at.width(), first, at.length, at.head_dim, values);
    __syncthreads();
    for (int key = 0; key < kKeys; ++key) {
      float dot = 0;
      float dp = 0;
      for (int i = 0; i < kEach; ++i) {
        dot += q[i] * keys[key][part + i];
        dp += d_out[i] * values[key][part + i];
      }
      dot = SumOverRow<kThreadsOfRow>(dot);
      dp = SumOverRow<kThreadsOfRow>(dp);
      const float p = there && first + key <= t ? expf(at.scale * dot - lse) : 0.0f;
      const float ds = at.scale * p * (dp - delta);
      for (int i = 0; i < kEach; ++i) dq[i] += ds * keys[key][part + i];
    }
    __syncthreads();
  }
  if (!there) return;
  T* const row = d_qkv + token * at.width() + at.query(head);
  for (int i = 0; i < kEach; ++i) {
    if (part + i < at.head_dim) row[part + i] = FromFloat<T>(dq[i]);
  }
}

// Where pieces leave what they add to keys and values of earlier tokens: in d_qkv itself, when its
// type is that of sums.
struct KvSums {
  float* first;    // of the first token's first key; null: all tokens come at once
  int64_t stride;  // of a token

  __device__ float* At(int64_t token, int64_t offset) const {
    return first == nullptr ? nullptr : first + token * stride + offset;
  }
};

// grid: tiles of keys, heads of keys, sequences from `first_sequence` on.
template <typename T, int kDims, int kThreadsOfRow, int kQueries>
__global__ __launch_bounds__(kTile* kThreadsOfRow) void AttentionKeysKernel(
    const T* qkv_in, const float* lse_in, const float* delta_in, const T* d_out_in, T* d_qkv,
    KvSums kv_sums, Layout at, Piece piece, int64_t first_sequence) {
  constexpr int kEach = kDims / kThreadsOfRow;
  __shared__ float queries[kQueries][kDims];
  __shared__ float d_outs[kQueries][kDims];
  const int64_t sequence = first_sequence + blockIdx.z;
  const int64_t kv = blockIdx.y;
  const int64_t tile = static_cast<int64_t>(blockIdx.x) * kTile;
  const int64_t begin = piece.first(sequence, at.length);
  const int64_t end = piece.last(sequence, at.length);
  if (tile >= end) return;
  const int64_t u = tile + threadIdx.x / kThreadsOfRow;
  const int part = static_cast<int>(threadIdx.x) % kThreadsOfRow * kEach;
  const bool there = u < end;
  const T* const qkv = qkv_in + sequence * at.length * at.width();
  const int64_t token = sequence * at.length + u;
  float* const key_sums = kv_sums.At(token, kv * at.head_dim);
  float* const value_sums = kv_sums.At(token, (at.kv_heads + kv) * at.head_dim);
  float k[kEach];
  float v[kEach];
  float dk[kEach];
  float dv[kEach];
  LoadPart<kEach>(qkv + u * at.width() + at.key(kv), part, at.head_dim, there, k);
  LoadPart<kEach>(qkv + u * at.width() + at.value(kv), part, at.head_dim, there, v);
  // What later pieces of the sequence have added.
  const bool more = there && end < at.length;
  LoadPart<kEach>(key_sums, part, at.head_dim, more, dk);
  LoadPart<kEach>(value_sums, part, at.head_dim, more, dv);
  const int64_t lowest = begin > tile ? begin : tile;
  const int64_t group = at.heads / at.kv_heads;
  for (int64_t queries_of = (end - 1) / kTile * kTile; queries_of >= lowest; queries_of -= kTile) {
    for (int64_t head = kv * group; head < (kv + 1) * group; ++head) {
      const int64_t statistics = (sequence * at.heads + head) * at.length;
      for (int64_t first = queries_of; first < queries_of + kTile && first < end;
           first += kQueries) {
        LoadRows<kQueries, kDims>(qkv + at.query(head), at.width(), first, end, at.head_dim,
                                  queries);
        LoadRows<kQueries, kDims>(d_out_in + (sequence * at.length * at.heads + head) * at.head_dim,
                                  at.heads * at.head_dim, first, end, at.head_dim, d_outs);
        __syncthreads();
        for (int i_query = 0; i_query < kQueries; ++i_query) {
          const int64_t t = first + i_query;
          float dot = 0;
          float dp = 0;
          for (int i = 0; i < kEach; ++i) {
            dot += k[i] * queries[i_query][part + i];
            dp += v[i] * d_outs[i_query][part + i];
          }
          dot = SumOverRow<kThreadsOfRow>(dot);
          dp = SumOverRow<kThreadsOfRow>(dp);
          const bool sees = there && t < end && u <= t;
          const float p = sees ? expf(at.scale * dot - lse_in[statistics + t]) : 0.0f;
          const float ds = sees ? at.scale * p * (dp - delta_in[statistics + t]) : 0.0f;
          for (int i = 0; i < kEach; ++i) {
            dk[i] += ds * queries[i_query][part + i];
            dv[i] += p * d_outs[i_query][part + i];
          }
        }
        __syncthreads();
      }
    }
  }
  if (!there) return;
  const bool complete = u >= begin;
  T* const row = d_qkv + token * at.width();
  for (int i = 0; i < kEach; ++i) {
    if (part + i >= at.head_dim) continue;
    if (complete) {
      row[at.key(kv) + part + i] = FromFloat<T>(dk[i]);
      row[at.value(kv) + part + i] = FromFloat<T>(dv[i]);
    } else {
      key_sums[part + i] = dk[i];
      value_sums[part + i] = dv[i];
    }
  }
}

template <typename Args>
Layout LayoutOf(const Args& args) {
  WEFT_CHECK(args.head_dim <= 128, "attention: a head has at most 128 dimensions on this device");
  return {args.length, args.heads, args.kv_heads, args.head_dim,
          static_cast<float>(1.0 / std::sqrt(static_cast<double>(args.head_dim)))};
}

// The blocks of a piece: whole sequences, of which the kernels leave out what is not asked for.
struct Sequences {
  int64_t first;
  unsigned count;
  unsigned tiles;
};

Sequences SequencesOf(RowRange tokens, int64_t length) {
  const int64_t first = tokens.begin / length;
  return {first, static_cast<unsigned>((tokens.end - 1) / length - first + 1),
          GroupsOf(length, kTile)};
}

template <typename T, int kDims, int kThreadsOfRow, int kKeys>
void Forward(CudaQueue& queue, const AttentionForwardArgs& args, RowRange tokens) {
  const Sequences some = SequencesOf(tokens, args.length);
  Launch(queue, "AttentionForward", dim3(some.tiles, static_cast<unsigned>(args.heads), some.count),
         kTile * kThreadsOfRow, AttentionForwardKernel<T, kDims, kThreadsOfRow, kKeys>,
         args.qkv.as<T>(), args.out.as<T>(), args.lse.as<float>(), LayoutOf(args),
         Piece{tokens.begin, tokens.end}, some.first);
}

template <typename T>
KvSums KvSumsOf(const AttentionBackwardArgs& args) {
  if constexpr (std::is_same_v<T, float>) {
    return {args.d_qkv.as<float>() + args.heads * args.head_dim, args.d_qkv.dim(1)};
  } else {
    return {OrNull<float>(args.d_kv), 2 * args.kv_heads * args.head_dim};
  }
}

template <typename T, int kDims, int kThreadsOfRow, int kRows>
void Backward(CudaQueue& queue, const AttentionBackwardArgs& args, RowRange tokens, float* delta) {
  const Layout at = LayoutOf(args);
  const Piece piece{tokens.begin, tokens.end};
  const Sequences some = SequencesOf(tokens, args.length);
  constexpr unsigned kThreads = kTile * kThreadsOfRow;
  Launch(queue, "AttentionQueries", dim3(some.tiles, static_cast<unsigned>(args.heads), some.count),
         kThreads, AttentionQueriesKernel<T, kDims, kThreadsOfRow, kRows>, args.qkv.as<T>(),
         args.lse.as<float>(), delta, args.d_out.as<T>(), args.d_qkv.as<T>(), at, piece,
         some.first);
  Launch(queue, "AttentionKeys", dim3(some.tiles, static_cast<unsigned>(args.kv_heads), some.count),
         kThreads, AttentionKeysKernel<T, kDims, kThreadsOfRow, kRows>, args.qkv.as<T>(),
         args.lse.as<float>(), delta, args.d_out.as<T>(), args.d_qkv.as<T>(), KvSumsOf<T>(args), at,
         piece, some.first);
}

}  // namespace

void CudaKernels::TiledAttentionForward(const AttentionForwardArgs& args, RowRange tokens) {
  WithElement(args.qkv.dtype, [&]<typename T>() {
    if (args.head_dim <= 32) {
      Forward<T, 32, 1, 32>(queue_, args, tokens);
    } else if (args.head_dim <= 64) {
      Forward<T, 64, 1, 32>(queue_, args, tokens);
    } else {
      Forward<T, 128, 2, 32>(queue_, args, tokens);
    }
  });
}

void CudaKernels::TiledAttentionBackward(const AttentionBackwardArgs& args, RowRange tokens) {
  float* const delta = scratch_.Ensure<float>({args.lse.elements()}).as<float>();
  constexpr unsigned kRowsOfBlock = 4;
  WithElement(args.qkv.dtype, [&]<typename T>() {
    Launch(queue_, "AttentionDelta", GroupsOf(tokens.count() * args.heads, kRowsOfBlock),
           dim3(kWarp, kRowsOfBlock), DeltaKernel<T>, args.out.as<T>(), args.d_out.as<T>(), delta,
           LayoutOf(args), tokens.begin, tokens.count());
    if (args.head_dim <= 32) {
      Backward<T, 32, 1, 32>(queue_, args, tokens, delta);
    } else if (args.head_dim <= 64) {
      Backward<T, 64, 2, 32>(queue_, args, tokens, delta);
    } else {
      Backward<T, 128, 4, 32>(queue_, args, tokens, delta);
    }
  });
}

}  // namespace weft
