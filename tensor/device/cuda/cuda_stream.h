#pragma once

#include <cuda_runtime.h>

#include <memory>
#include <string>
#include <vector>

#include "tensor/device/cpu/cpu_stream.h"
#include "tensor/device/cuda/cuda_queue.h"
#include "tensor/device/stream.h"

namespace weft {

class CudaEventPool;

// A CUDA stream and a thread that gives it work: Work runs on the thread, in order, and what it
// issues to the device goes to the stream. A Work that must know something first (the rows that
// come, a message that has arrived) blocks its own stream's thread and nobody else.
class CudaStream final : public Stream {
 public:
  // `priority` as CUDA's: lower comes first; cut to what the device has. `queue` outlives the
  // stream.
  CudaStream(CudaQueue& queue, const std::string& name, int priority);
  ~CudaStream() override;

  absl::Status Enqueue(Work work) override;
  // Reached when the device has done what was issued before.
  absl::StatusOr<std::shared_ptr<Event>> Record() override;
  absl::Status Wait(std::shared_ptr<Event> event) override;
  absl::Status Synchronize() override;
  // By the device's clock, from an event of this stream whose time on the host's is known.
  void Stamp(const Clock& clock, int64_t* nanos) override;
  // NVTX's, for Nsight; next to nothing where no tool looks.
  void BeginRange(const std::string& name) override;
  void EndRange() override;

 private:
  struct PendingStamp {
    cudaEvent_t event;
    int64_t* nanos;
  };
  absl::Status Anchor(const Clock& clock);
  cudaEvent_t NextTimer();

  CudaQueue& queue_;
  std::shared_ptr<CudaEventPool> events_;
  cudaStream_t stream_ = nullptr;
  // Of the stream's thread while Work runs, of the caller of Synchronize afterwards.
  std::vector<cudaEvent_t> timers_;
  size_t timers_used_ = 0;
  std::vector<PendingStamp> stamps_;
  cudaEvent_t anchor_ = nullptr;
  int64_t anchor_nanos_ = 0;
  CpuStream thread_;  // the last member: it ends first
};

}  // namespace weft
