#include "tensor/kernels/cpu/loops/families.h"
#include "tensor/kernels/cpu/loops/simd.h"

namespace weft::WEFT_ISA {
namespace {

void GatherRows(int64_t rows, int64_t width, const float* x, const int32_t* index,
                const float* weight, float* y) {
  for (int64_t row = 0; row < rows; ++row) {
    const float* in = x + index[row] * width;
    float* out = y + row * width;
    if (weight == nullptr) {
      __builtin_memcpy(out, in, static_cast<size_t>(width) * sizeof(float));
      continue;
    }
    const Vec factor = Set(weight[row]);
    ForEach(width,
            [&](int64_t i, auto lanes) { lanes.Write(out + i, factor * lanes.Read(in + i)); });
  }
}

void GatherSum(int64_t rows, int64_t width, int64_t top_k, const float* x, const int32_t* slot,
               const float* weight, bool accumulate, float* y) {
  for (int64_t row = 0; row < rows; ++row) {
    const int32_t* slots = slot + row * top_k;
    const float* weights = weight == nullptr ? nullptr : weight + row * top_k;
    float* out = y + row * width;
    ForEach(width, [&](int64_t i, auto lanes) {
      Vec sum = accumulate ? lanes.Read(out + i) : Set(0);
      for (int64_t j = 0; j < top_k; ++j) {
        if (slots[j] < 0) continue;
        const Vec value = lanes.Read(x + slots[j] * width + i);
        sum = weights == nullptr ? sum + value : Fma(Set(weights[j]), value, sum);
      }
      lanes.Write(out + i, sum);
    });
  }
}

void GatherDot(int64_t rows, int64_t width, int64_t top_k, const float* a, const float* x,
               const int32_t* slot, float* d) {
  for (int64_t row = 0; row < rows; ++row) {
    const float* left = a + row * width;
    for (int64_t j = 0; j < top_k; ++j) {
      const int32_t source = slot[row * top_k + j];
      Vec sums = Set(0);
      if (source >= 0) {
        const float* right = x + source * width;
        ForEach(width, [&](int64_t i, auto lanes) {
          sums = Fma(lanes.Read(left + i), lanes.Read(right + i), sums);
        });
      }
      d[row * top_k + j] = SumOfLanes(sums);
    }
  }
}

}  // namespace

void FillRows(Loops& loops) {
  loops.gather_rows = GatherRows;
  loops.gather_sum = GatherSum;
  loops.gather_dot = GatherDot;
}

}  // namespace weft::WEFT_ISA
