#include <algorithm>

#include "tensor/kernels/check_args.h"
#include "tensor/kernels/reference/reference_kernels.h"

namespace weft {

void ReferenceKernels::EmbeddingForward(ConstTensorView tokens, ConstTensorView table,
                                        ConstTensorView positions, int64_t length, TensorView y) {
  CheckEmbeddingForward(tokens, table, positions, length, y);
  const int64_t width = table.dim(1);
  for (int64_t t = 0; t < y.dim(0); ++t) {
    const float* word = table.as<float>() + tokens.as<int32_t>()[t] * width;
    float* out = y.as<float>() + t * width;
    std::copy_n(word, width, out);
    if (positions.data == nullptr) continue;
    const float* position = positions.as<float>() + t % length * width;
    for (int64_t i = 0; i < width; ++i) out[i] += position[i];
  }
}

// In token order and in fp32, as the interface promises: the order is the result.
void ReferenceKernels::EmbeddingBackward(ConstTensorView dy, ConstTensorView tokens, int64_t length,
                                         TensorView d_table, TensorView d_positions) {
  CheckEmbeddingBackward(dy, tokens, length, d_table, d_positions);
  const int64_t width = dy.dim(1);
  for (int64_t t = 0; t < dy.dim(0); ++t) {
    const float* gradient = dy.as<float>() + t * width;
    float* word = d_table.as<float>() + tokens.as<int32_t>()[t] * width;
    for (int64_t i = 0; i < width; ++i) word[i] += gradient[i];
    if (d_positions.data == nullptr) continue;
    float* position = d_positions.as<float>() + t % length * width;
    for (int64_t i = 0; i < width; ++i) position[i] += gradient[i];
  }
}

}  // namespace weft
