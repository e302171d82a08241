#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <utility>

#include "tensor/device/cuda/cuda_queue.h"

// For CUDA sources alone.

namespace weft {

// kernel<<<grid, block>>>(arguments...) where the work of this thread goes. Does nothing for an
// empty grid.
template <typename... Parameters, typename... Arguments>
void Launch(CudaQueue& queue, const char* name, dim3 grid, dim3 block,
            void (*kernel)(Parameters...), Arguments&&... arguments) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.stream = queue.stream();
  queue.Issued(cudaLaunchKernelEx(&config, kernel, std::forward<Arguments>(arguments)...), name);
}

// How many groups of `size` hold n.
constexpr unsigned GroupsOf(int64_t n, int64_t size) {
  return static_cast<unsigned>((n + size - 1) / size);
}

}  // namespace weft
