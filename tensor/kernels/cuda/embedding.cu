#include "tensor/device/cuda/launch.h"
#include "tensor/kernels/check_args.h"
#include "tensor/kernels/cuda/cuda_kernels.h"

namespace weft {
namespace {

constexpr unsigned kThreads = 128;
constexpr unsigned kPartitions = 64;  // of the vocabulary, in the backward

__global__ void EmbeddingForwardKernel(const int32_t* tokens, const float* table,
                                       const float* positions, int64_t length, float* y,
                                       int64_t elements, int64_t width) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= elements) return;
  const int64_t row = i / width, column = i % width;
  float value = table[tokens[row] * width + column];
  if (positions != nullptr) value += positions[row % length * width + column];
  y[i] = value;
}

// A thread for each column and part of the vocabulary: nobody else adds to its rows, so that they
// are added in token order.
__global__ void EmbeddingTableKernel(const float* dy, const int32_t* tokens, float* d_table,
                                     int64_t rows, int64_t width) {
  const int64_t column = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (column >= width) return;
  for (int64_t row = 0; row < rows; ++row) {
    const int32_t token = tokens[row];
    if (static_cast<unsigned>(token) % kPartitions != blockIdx.y) continue;
    d_table[token * width + column] += dy[row * width + column];
  }
}

__global__ void EmbeddingPositionsKernel(const float* dy, float* d_positions, int64_t rows,
                                         int64_t length, int64_t elements, int64_t width) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= elements) return;
  const int64_t column = i % width;
  float sum = d_positions[i];
  for (int64_t row = i / width; row < rows; row += length) sum += dy[row * width + column];
  d_positions[i] = sum;
}

}  // namespace

void CudaKernels::EmbeddingForward(ConstTensorView tokens, ConstTensorView table,
                                   ConstTensorView positions, int64_t length, TensorView y) {
  CheckEmbeddingForward(tokens, table, positions, length, y, Indices::kOnDevice);
  const int64_t n = y.elements();
  Launch(queue_, "EmbeddingForward", GroupsOf(n, kThreads), kThreads, EmbeddingForwardKernel,
         tokens.as<int32_t>(), table.as<float>(),
         positions.data == nullptr ? nullptr : positions.as<float>(), length, y.as<float>(), n,
         y.dim(1));
}

void CudaKernels::EmbeddingBackward(ConstTensorView dy, ConstTensorView tokens, int64_t length,
                                    TensorView d_table, TensorView d_positions) {
  CheckEmbeddingBackward(dy, tokens, length, d_table, d_positions, Indices::kOnDevice);
  const int64_t rows = dy.dim(0), width = dy.dim(1);
  if (rows == 0) return;
  Launch(queue_, "EmbeddingTable", dim3(GroupsOf(width, kThreads), kPartitions), kThreads,
         EmbeddingTableKernel, dy.as<float>(), tokens.as<int32_t>(), d_table.as<float>(), rows,
         width);
  if (d_positions.data == nullptr) return;
  const int64_t n = length * width;
  Launch(queue_, "EmbeddingPositions", GroupsOf(n, kThreads), kThreads, EmbeddingPositionsKernel,
         dy.as<float>(), d_positions.as<float>(), rows, length, n, width);
}

}  // namespace weft
