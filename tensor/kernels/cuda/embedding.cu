#include "tensor/device/cuda/launch.h"
#include "tensor/kernels/check_args.h"
#include "tensor/kernels/cuda/cuda_kernels.h"
#include "tensor/kernels/cuda/dispatch.h"
#include "tensor/kernels/cuda/row_grid.h"
#include "tensor/kernels/cuda/token_order.h"

namespace weft {
namespace {

// So many rows of a sum are on their way at once.
constexpr int kBatch = 8;

template <typename T, int kPack>
__global__ void EmbeddingForwardKernel(const int32_t* tokens, const T* table, const T* positions,
                                       unsigned length, T* y, int64_t rows, int width) {
  const int64_t row = GridRow();
  const int column = GridColumn(kPack);
  if (row >= rows || column >= width) return;
  Pack<kPack> values = Load<kPack>(table + int64_t{tokens[row]} * width + column);
  if (positions != nullptr) {
    const int64_t position = static_cast<unsigned>(row) % length;
    const Pack<kPack> added = Load<kPack>(positions + position * width + column);
    AddTo(values, added);
  }
  Store(values, y + row * width + column);
}

// Whoever comes to a token's first place adds up all of its rows, in their order.
template <typename T, int kPack>
__global__ void EmbeddingTableKernel(const T* dy, TokenOrder order, float* d_table, int64_t rows,
                                     int width) {
  const int64_t first = GridRow();
  const int column = GridColumn(kPack);
  if (first >= rows || column >= width) return;
  const int32_t token = order.tokens[first];
  if (first > 0 && order.tokens[first - 1] == token) return;
  float* const out = d_table + int64_t{token} * width + column;
  Pack<kPack> sum = Load<kPack>(out);
  const auto row = [&](int64_t i) {
    return Load<kPack>(dy + int64_t{order.rows[i]} * width + column);
  };
  for (int64_t i = first; i < rows && order.tokens[i] == token;) {
    // Tokens ascend: when the last of a batch is this one, all are.
    if (i + kBatch <= rows && order.tokens[i + kBatch - 1] == token) {
      Pack<kPack> values[kBatch];
#pragma unroll
      for (int j = 0; j < kBatch; ++j) values[j] = row(i + j);
#pragma unroll
      for (int j = 0; j < kBatch; ++j) AddTo(sum, values[j]);
      i += kBatch;
    } else {
      AddTo(sum, row(i));
      ++i;
    }
  }
  Store(sum, out);
}

template <typename T, int kPack>
__global__ void EmbeddingPositionsKernel(const T* dy, float* d_positions, int64_t rows,
                                         int64_t length, int width) {
  const int64_t position = GridRow();
  const int column = GridColumn(kPack);
  if (position >= length || column >= width) return;
  float* const out = d_positions + position * width + column;
  Pack<kPack> sum = Load<kPack>(out);
#pragma unroll 4
  for (int64_t row = position; row < rows; row += length) {
    const Pack<kPack> values = Load<kPack>(dy + row * width + column);
    AddTo(sum, values);
  }
  Store(sum, out);
}

}  // namespace

void CudaKernels::EmbeddingForward(ConstTensorView tokens, ConstTensorView table,
                                   ConstTensorView positions, int64_t length, TensorView y) {
  CheckEmbeddingForward(tokens, table, positions, length, y, Indices::kOnDevice);
  const int64_t rows = y.dim(0), width = y.dim(1);
  if (y.elements() == 0) return;
  WithPacks(y.dtype, width, {table.data, positions.data, y.data}, [&]<typename T, int kPack>() {
    const RowGrid over = GridOfRows(rows, width / kPack);
    Launch(queue_, "EmbeddingForward", over.grid, over.block, EmbeddingForwardKernel<T, kPack>,
           tokens.as<int32_t>(), table.as<T>(), OrNull<T>(positions), static_cast<unsigned>(length),
           y.as<T>(), rows, static_cast<int>(width));
  });
}

void CudaKernels::EmbeddingBackward(ConstTensorView dy, ConstTensorView tokens, int64_t length,
                                    TensorView d_table, TensorView d_positions) {
  CheckEmbeddingBackward(dy, tokens, length, d_table, d_positions, Indices::kOnDevice);
  const int64_t rows = dy.dim(0), width = dy.dim(1);
  if (dy.elements() == 0) return;
  const TokenOrder order =
      OrderTokens(queue_, scratch_, tokens.as<int32_t>(), rows, d_table.dim(0));
  WithPacks(
      dy.dtype, width, {dy.data, d_table.data, d_positions.data}, [&]<typename T, int kPack>() {
        const RowGrid over = GridOfRows(rows, width / kPack);
        Launch(queue_, "EmbeddingTable", over.grid, over.block, EmbeddingTableKernel<T, kPack>,
               dy.as<T>(), order, d_table.as<float>(), rows, static_cast<int>(width));
        if (d_positions.data == nullptr) return;
        const RowGrid positions = GridOfRows(length, width / kPack);
        Launch(queue_, "EmbeddingPositions", positions.grid, positions.block,
               EmbeddingPositionsKernel<T, kPack>, dy.as<T>(), d_positions.as<float>(), rows,
               length, static_cast<int>(width));
      });
}

}  // namespace weft
