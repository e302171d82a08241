#pragma once

#include "tensor/device/buffer.h"
#include "tensor/device/cuda/launch.h"
#include "tensor/kernels/cuda/element.h"

// Sums over the rows of a tall matrix, column by column: each block adds up a slice of the rows,
// and a second kernel what the slices left, in their order. Few rows of a thread are summed in
// fp32, everything beyond in fp64. For CUDA sources alone.

namespace weft {

inline constexpr unsigned kColumnLanes = 32;  // threads of a block along columns
inline constexpr unsigned kRowLanes = 8;      // and along rows
inline constexpr int64_t kSliceRows = 128;    // parts are 1/64 of the bytes of rows in bf16

// term(row, column, sums) adds to sums[s] what the row gives to kPack columns of sum s.
// parts: [slices, kSums, width].
template <int kSums, int kPack, typename Term>
__global__ __launch_bounds__(kColumnLanes* kRowLanes) void ColumnSliceKernel(Term term,
                                                                             int64_t rows,
                                                                             int width,
                                                                             double* parts) {
  constexpr int kColumns = kColumnLanes * kPack;
  __shared__ Pack<kPack> lanes[kRowLanes][kSums][kColumnLanes];
  const int first_column = static_cast<int>(blockIdx.y) * kColumns;
  const int column = first_column + static_cast<int>(threadIdx.x) * kPack;
  const int64_t first = blockIdx.x * kSliceRows;
  const int64_t last = first + kSliceRows < rows ? first + kSliceRows : rows;
  Pack<kPack> sums[kSums] = {};
  if (column < width) {
#pragma unroll 4
    for (int64_t row = first + threadIdx.y; row < last; row += kRowLanes) term(row, column, sums);
  }
#pragma unroll
  for (int s = 0; s < kSums; ++s) lanes[threadIdx.y][s][threadIdx.x] = sums[s];
  __syncthreads();
  const int thread = static_cast<int>(threadIdx.y * kColumnLanes + threadIdx.x);
  for (int i = thread; i < kSums * kColumns; i += kColumnLanes * kRowLanes) {
    const int s = i / kColumns, at = i % kColumns;  // divisions by constants
    if (first_column + at >= width) continue;
    double sum = 0;
#pragma unroll
    for (unsigned lane = 0; lane < kRowLanes; ++lane)
      sum += lanes[lane][s][at / kPack].at[at % kPack];
    parts[(int64_t{blockIdx.x} * kSums + s) * width + first_column + at] = sum;
  }
}

template <int kSums>
struct ColumnTotals {
  float* sums[kSums];  // [width], added to
};

// A row of blocks for each sum.
template <int kSums>
__global__ __launch_bounds__(kColumnLanes* kRowLanes) void ColumnTotalKernel(
    const double* parts, int slices, int width, ColumnTotals<kSums> totals) {
  __shared__ double lanes[kRowLanes][kColumnLanes];
  const int column = static_cast<int>(blockIdx.x * kColumnLanes + threadIdx.x);
  double sum = 0;
  if (column < width) {
    for (int slice = static_cast<int>(threadIdx.y); slice < slices; slice += kRowLanes) {
      sum += parts[(int64_t{slice} * kSums + blockIdx.y) * width + column];
    }
  }
  lanes[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y != 0 || column >= width) return;
  float& out = totals.sums[blockIdx.y][column];
  double total = out;
  for (unsigned lane = 0; lane < kRowLanes; ++lane) total += lanes[lane][threadIdx.x];
  out = static_cast<float>(total);
}

template <int kPack, int kSums, typename Term>
void AddColumnSums(CudaQueue& queue, Buffer& scratch, const char* name, int64_t rows, int64_t width,
                   Term term, ColumnTotals<kSums> totals) {
  const unsigned slices = GroupsOf(rows, kSliceRows);
  if (slices == 0 || width == 0) return;
  double* const parts = scratch.Ensure<double>({slices, kSums, width}).template as<double>();
  Launch(queue, name, dim3(slices, GroupsOf(width, kColumnLanes * kPack)),
         dim3(kColumnLanes, kRowLanes), ColumnSliceKernel<kSums, kPack, Term>, term, rows,
         static_cast<int>(width), parts);
  Launch(queue, name, dim3(GroupsOf(width, kColumnLanes), kSums), dim3(kColumnLanes, kRowLanes),
         ColumnTotalKernel<kSums>, parts, static_cast<int>(slices), static_cast<int>(width),
         totals);
}

}  // namespace weft
