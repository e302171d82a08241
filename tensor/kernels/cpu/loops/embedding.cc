#include "tensor/kernels/cpu/loops/families.h"
#include "tensor/kernels/cpu/loops/simd.h"

namespace weft::WEFT_ISA {
namespace {

void AddRow(int64_t width, const float* x, float* y) {
  ForEach(width, [&](int64_t i, auto lanes) {
    lanes.Write(y + i, lanes.Read(y + i) + lanes.Read(x + i));
  });
}

void EmbeddingForward(int64_t rows, int64_t width, int64_t length, const int32_t* tokens,
                      const float* table, const float* positions, float* y) {
  for (int64_t row = 0; row < rows; ++row) {
    __builtin_memcpy(y + row * width, table + tokens[row] * width,
                     static_cast<size_t>(width) * sizeof(float));
    if (positions != nullptr) AddRow(width, positions + row % length * width, y + row * width);
  }
}

void EmbeddingBackward(int64_t rows, int64_t width, int64_t length, const float* dy,
                       const int32_t* tokens, float* d_table, float* d_positions) {
  for (int64_t row = 0; row < rows; ++row) {
    AddRow(width, dy + row * width, d_table + tokens[row] * width);
    if (d_positions != nullptr) {
      AddRow(width, dy + row * width, d_positions + row % length * width);
    }
  }
}

}  // namespace

void FillEmbedding(Loops& loops) {
  loops.embedding_forward = EmbeddingForward;
  loops.embedding_backward = EmbeddingBackward;
}

}  // namespace weft::WEFT_ISA
