#include "tensor/kernels/cpu/loops/families.h"
#include "tensor/kernels/cpu/loops/simd.h"

namespace weft::WEFT_ISA {
namespace {

constexpr int64_t kColumns = 512;  // of a column sum held in the first-level cache
constexpr int64_t kSumRows = 64;   // summed apart, so that the error grows with rows / 64 + 64

void AddBias(int64_t rows, int64_t n, const float* bias, float* x) {
  for (int64_t row = 0; row < rows; ++row) {
    float* values = x + row * n;
    ForEach(n, [&](int64_t i, auto lanes) {
      lanes.Write(values + i, lanes.Read(values + i) + lanes.Read(bias + i));
    });
  }
}

void BiasBackward(int64_t rows, int64_t n, const float* dy, float* d_bias) {
  float part[kColumns];
  for (int64_t begin = 0; begin < n; begin += kColumns) {
    const int64_t width = n - begin < kColumns ? n - begin : kColumns;
    for (int64_t first = 0; first < rows; first += kSumRows) {
      const int64_t last = first + kSumRows < rows ? first + kSumRows : rows;
      for (int64_t i = 0; i < width; ++i) part[i] = 0;
      for (int64_t row = first; row < last; ++row) {
        const float* gradient = dy + row * n + begin;
        ForEach(width, [&](int64_t i, auto lanes) {
          lanes.Write(part + i, lanes.Read(part + i) + lanes.Read(gradient + i));
        });
      }
      float* out = d_bias + begin;
      for (int64_t i = 0; i < width; ++i) out[i] += part[i];
    }
  }
}

void Add(int64_t n, const float* a, const float* b, float* y) {
  ForEach(
      n, [&](int64_t i, auto lanes) { lanes.Write(y + i, lanes.Read(a + i) + lanes.Read(b + i)); });
}

void Scale(int64_t n, float factor, float* x) {
  ForEach(n, [&](int64_t i, auto lanes) { lanes.Write(x + i, Set(factor) * lanes.Read(x + i)); });
}

double SumOfSquares(int64_t n, const float* x) {
  constexpr int64_t kSums = 32;
  double sums[kSums] = {};
  int64_t i = 0;
  for (; i + kSums <= n; i += kSums) {
    for (int64_t j = 0; j < kSums; ++j) {
      const double value = x[i + j];
      sums[j] += value * value;
    }
  }
  double total = 0;
  for (; i < n; ++i) total += static_cast<double>(x[i]) * x[i];
  for (int64_t j = 0; j < kSums; ++j) total += sums[j];
  return total;
}

}  // namespace

void FillElementwise(Loops& loops) {
  loops.add_bias = AddBias;
  loops.bias_backward = BiasBackward;
  loops.add = Add;
  loops.scale = Scale;
  loops.sum_of_squares = SumOfSquares;
}

}  // namespace weft::WEFT_ISA
