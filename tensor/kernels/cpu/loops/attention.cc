#include "tensor/kernels/cpu/loops/families.h"
#include "tensor/kernels/cpu/loops/simd.h"

namespace weft::WEFT_ISA {
namespace {

constexpr int64_t kTile = kAttentionTile;
constexpr float kLowest = -__builtin_inff();

void CausalSoftmax(int64_t tiles, float* scores, float* inverse_sum, float* lse) {
  for (int64_t row = 0; row < kTile; ++row) {
    float* first = scores + row * kTile;
    float* diagonal = first + (tiles - 1) * kTile * kTile;
    for (int64_t i = row + 1; i < kTile; ++i) diagonal[i] = kLowest;
    Vec largest = Set(kLowest);
    for (float* part = first; part <= diagonal; part += kTile * kTile) {
      for (int64_t i = 0; i < kTile; i += kLanes) largest = Max(largest, Load(part + i));
    }
    const float top = MaxOfLanes(largest);
    Vec sums = Set(0);
    for (float* part = first; part <= diagonal; part += kTile * kTile) {
      for (int64_t i = 0; i < kTile; i += kLanes) {
        const Vec p = Exp(Load(part + i) - Set(top));
        sums = sums + p;
        Store(part + i, p);
      }
    }
    const float sum = SumOfLanes(sums);
    inverse_sum[row] = 1.0f / sum;
    lse[row] = top + static_cast<float>(__builtin_log(static_cast<double>(sum)));
  }
}

void SoftmaxBackward(bool diagonal, const float* lse, const float* delta, float* scores,
                     float* dp) {
  for (int64_t row = 0; row < kTile; ++row) {
    float* p_row = scores + row * kTile;
    float* dp_row = dp + row * kTile;
    if (diagonal) {
      for (int64_t i = row + 1; i < kTile; ++i) p_row[i] = kLowest;
    }
    for (int64_t i = 0; i < kTile; i += kLanes) {
      const Vec p = Exp(Load(p_row + i) - Set(lse[row]));
      Store(p_row + i, p);
      Store(dp_row + i, p * (Load(dp_row + i) - Set(delta[row])));
    }
  }
}

void CopyScaled(int64_t rows, int64_t width, float factor, const float* row_factor, const float* in,
                int64_t in_stride, float* out, int64_t out_stride) {
  for (int64_t row = 0; row < rows; ++row) {
    const Vec scale = Set(row_factor == nullptr ? factor : factor * row_factor[row]);
    const float* from = in + row * in_stride;
    float* to = out + row * out_stride;
    ForEach(width,
            [&](int64_t i, auto lanes) { lanes.Write(to + i, scale * lanes.Read(from + i)); });
  }
}

void RowDots(int64_t rows, int64_t width, int64_t stride, const float* a, const float* b,
             float* delta) {
  for (int64_t row = 0; row < rows; ++row) {
    Vec sums = Set(0);
    ForEach(width, [&](int64_t i, auto lanes) {
      sums = Fma(lanes.Read(a + row * stride + i), lanes.Read(b + row * stride + i), sums);
    });
    delta[row] = SumOfLanes(sums);
  }
}

}  // namespace

void FillAttention(Loops& loops) {
  loops.causal_softmax = CausalSoftmax;
  loops.softmax_backward = SoftmaxBackward;
  loops.copy_scaled = CopyScaled;
  loops.row_dots = RowDots;
}

}  // namespace weft::WEFT_ISA
