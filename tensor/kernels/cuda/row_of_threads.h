#pragma once

#include "tensor/device/cuda/launch.h"
#include "tensor/kernels/cuda/dispatch.h"
#include "tensor/kernels/cuda/reduce.h"

// A row that the threads of a warp or a block read and reduce together: pack p is of the thread
// with threadIdx.x = p modulo their number, which depends on the width alone. So does the order of
// every sum. For CUDA sources alone.

namespace weft {

inline constexpr unsigned kMostThreadsOfRow = 512;
inline constexpr int kHeldPacks = 4;  // that a thread keeps, of 16 bytes each

// How many threads hold a row of so many packs, kHeldPacks each where that is enough.
constexpr unsigned ThreadsOfRow(int64_t packs) {
  unsigned threads = kWarp;
  while (threads * kHeldPacks < packs && threads < kMostThreadsOfRow) threads *= 2;
  return threads;
}

// kHeld: how many packs a thread keeps in registers; 0: it reads them whenever they are asked for.
template <typename T, int kPack, bool kAligned, int kHeld>
class RowOfThreads {
 public:
  __device__ RowOfThreads(const T* row, int packs) : row_(row), packs_(packs) {
#pragma unroll
    for (int i = 0; i < kHeld; ++i) {
      const int pack = static_cast<int>(threadIdx.x + i * blockDim.x);
      if (pack < packs) held_[i] = Load<kPack, kAligned>(row + pack * kPack);
    }
  }

  // f(values, pack) for each pack of this thread, in ascending order.
  template <typename F>
  __device__ void Each(F f) const {
    Walk([&](int i, int pack) { f(At(i, pack), pack); });
  }
  // f(values, values of the other, pack). REQUIRES: equally wide.
  template <typename F>
  __device__ void Each(const RowOfThreads& other, F f) const {
    Walk([&](int i, int pack) { f(At(i, pack), other.At(i, pack), pack); });
  }

 private:
  template <typename F>
  __device__ void Walk(F f) const {
    if constexpr (kHeld > 0) {
#pragma unroll
      for (int i = 0; i < kHeld; ++i) {
        const int pack = static_cast<int>(threadIdx.x + i * blockDim.x);
        if (pack < packs_) f(i, pack);
      }
    } else {
      for (int pack = static_cast<int>(threadIdx.x); pack < packs_;
           pack += static_cast<int>(blockDim.x)) {
        f(0, pack);
      }
    }
  }
  __device__ Pack<kPack> At(int i, int pack) const {
    if constexpr (kHeld > 0) {
      return held_[i];
    } else {
      return Load<kPack, kAligned>(row_ + pack * kPack);
    }
  }

  const T* row_;
  int packs_;
  Pack<kPack> held_[kHeld > 0 ? kHeld : 1];
};

// Every thread of the row gets the sum. `parts`: as in BlockSum.
__device__ __forceinline__ float RowSum(float value, float* parts) {
  return blockDim.x == kWarp ? WarpSum(value) : BlockSum(value, parts);
}

// Calls f.template operator()<T, kPack, kAligned, kHeld>(grid, block): threads of a row along x,
// rows of a block along y.
template <typename F>
void WithRowsOfThreads(DType dtype, int64_t rows, int64_t width,
                       std::initializer_list<const void*> addresses, F f) {
  WithRowPacks(dtype, width, addresses, [&]<typename T, int kPack, bool kAligned>() {
    const unsigned threads = ThreadsOfRow(width / kPack);
    const unsigned rows_of_block = threads == kWarp ? 4 : 1;
    const dim3 grid(GroupsOf(rows, rows_of_block)), block(threads, rows_of_block);
    if constexpr (kPack > 1 && kAligned) {
      if (width / kPack <= int64_t{threads} * kHeldPacks) {
        return f.template operator()<T, kPack, kAligned, kHeldPacks>(grid, block);
      }
    }
    f.template operator()<T, kPack, kPack == 1, 0>(grid, block);
  });
}

}  // namespace weft
