#pragma once

#include "tensor/device/cuda/cuda_queue.h"
#include "tensor/device/memory.h"

namespace weft {

// A device's memory. What goes to the host and comes from it passes through pinned memory, at once
// when it is pinned itself.
class CudaMemory final : public Memory {
 public:
  // `queue` outlives the memory and all of its allocations.
  explicit CudaMemory(CudaQueue& queue) : queue_(queue) {}

  void* Allocate(int64_t bytes) override;
  void Free(void* data) override;
  bool Holds(const void* data) const override;

 private:
  void CopyBytes(const void* from, void* to, int64_t bytes) override;
  void ZeroBytes(void* to, int64_t bytes) override;
  void BytesFromHost(const void* host, void* to, int64_t bytes) override;
  void BytesToHost(const void* from, void* host, int64_t bytes) override;
  void Fetch(const void* from, void* pinned, int64_t bytes);

  CudaQueue& queue_;
};

// Memory of the host that a device copies to and from without a stop in between.
class CudaPinnedMemory final : public Memory {
 public:
  void* Allocate(int64_t bytes) override;
  void Free(void* data) override;
  bool Holds(const void* data) const override;

 private:
  void CopyBytes(const void* from, void* to, int64_t bytes) override;
  void ZeroBytes(void* to, int64_t bytes) override;
  void BytesFromHost(const void* host, void* to, int64_t bytes) override;
  void BytesToHost(const void* from, void* host, int64_t bytes) override;
};

}  // namespace weft
