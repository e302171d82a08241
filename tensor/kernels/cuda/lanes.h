#pragma once

#include <cuda_runtime.h>

#include <array>

#include "tensor/device/cuda/cuda_queue.h"

namespace weft {

// Streams beside the one that the caller's work goes to, for work whose pieces do not need each
// other: Fork, pieces, Join. What the caller issues afterwards comes after all of them.
class Lanes {
 public:
  static constexpr int kMost = 4;

  // `queue` outlives the lanes.
  explicit Lanes(CudaQueue& queue) : queue_(queue) {}
  ~Lanes();
  Lanes(const Lanes&) = delete;
  Lanes& operator=(const Lanes&) = delete;

  // Lanes [0, count) begin after all work that the caller has issued. REQUIRES: count <= kMost.
  void Fork(int count);
  cudaStream_t stream(int lane) const { return lanes_.at(static_cast<size_t>(lane)).stream; }
  void Join();

 private:
  struct Lane {
    cudaStream_t stream = nullptr;
    cudaEvent_t done = nullptr;
  };

  void Make();

  CudaQueue& queue_;
  std::array<Lane, kMost> lanes_;
  cudaEvent_t begin_ = nullptr;
  int forked_ = 0;
};

}  // namespace weft
