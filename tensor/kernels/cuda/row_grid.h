#pragma once

#include <cstdint>

#include "tensor/device/cuda/launch.h"

// Rows by threads: each has one pack of one row, and no division tells it which. For CUDA sources
// alone.

namespace weft {

struct RowGrid {
  dim3 grid, block;
};

// Threads along x are neighbouring packs of a row, along y rows; the blocks of a row are along y.
inline RowGrid GridOfRows(int64_t rows, int64_t packs) {
  constexpr int64_t kThreads = 256;
  int64_t across = 1;
  if (packs > 32) {
    const int64_t blocks = (packs + kThreads - 1) / kThreads;
    across = (packs + 32 * blocks - 1) / (32 * blocks) * 32;
  } else {
    while (across < packs) across *= 2;
  }
  const auto down = static_cast<unsigned>(kThreads / across);
  return {dim3(GroupsOf(rows, down), GroupsOf(packs, across)),
          dim3(static_cast<unsigned>(across), down)};
}

// The row of this thread, and the first column of its pack; there may be no such.
__device__ __forceinline__ int64_t GridRow() {
  return int64_t{blockIdx.x} * blockDim.y + threadIdx.y;
}
__device__ __forceinline__ int GridColumn(int pack) {
  return static_cast<int>(blockIdx.y * blockDim.x + threadIdx.x) * pack;
}

}  // namespace weft
