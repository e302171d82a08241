#pragma once

#include <cuda_runtime.h>

// Sums and maxima over the threads of a warp or a block, in an order that is always the same. For
// CUDA sources alone.

namespace weft {

inline constexpr int kWarp = 32;
inline constexpr unsigned kAllLanes = 0xffffffffu;

// Every lane gets the result.
template <typename T>
__device__ __forceinline__ T WarpSum(T value) {
  for (int lanes = kWarp / 2; lanes > 0; lanes /= 2) {
    value += __shfl_xor_sync(kAllLanes, value, lanes);
  }
  return value;
}

template <typename T>
__device__ __forceinline__ T WarpMax(T value) {
  for (int lanes = kWarp / 2; lanes > 0; lanes /= 2) {
    const T other = __shfl_xor_sync(kAllLanes, value, lanes);
    value = other > value ? other : value;
  }
  return value;
}

// Every thread of the block, which has one dimension, gets the result. `parts` is shared memory for
// a value of each warp; it can be used again at once.
template <typename T>
__device__ __forceinline__ T BlockSum(T value, T* parts) {
  value = WarpSum(value);
  if (threadIdx.x % kWarp == 0) parts[threadIdx.x / kWarp] = value;
  __syncthreads();
  T sum = 0;
  for (unsigned warp = 0; warp < blockDim.x / kWarp; ++warp) sum += parts[warp];
  __syncthreads();
  return sum;
}

template <typename T>
__device__ __forceinline__ T BlockMax(T value, T* parts) {
  value = WarpMax(value);
  if (threadIdx.x % kWarp == 0) parts[threadIdx.x / kWarp] = value;
  __syncthreads();
  T largest = parts[0];
  for (unsigned warp = 1; warp < blockDim.x / kWarp; ++warp) {
    largest = parts[warp] > largest ? parts[warp] : largest;
  }
  __syncthreads();
  return largest;
}

}  // namespace weft
