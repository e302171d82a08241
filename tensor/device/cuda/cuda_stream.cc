#include "tensor/device/cuda/cuda_stream.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "base/status_macros.h"
#include "tensor/device/cuda/cuda_error.h"

// Not every toolkit has it.
#if __has_include(<nvtx3/nvToolsExt.h>)
#include <nvtx3/nvToolsExt.h>
#define WEFT_NVTX 1
#else
#define WEFT_NVTX 0
#endif

namespace weft {
namespace {

absl::Status CudaStatus(cudaError_t error, std::string_view what) {
  if (error == cudaSuccess) return absl::OkStatus();
  return absl::InternalError(CudaErrorText(error, what));
}

cudaStream_t MakeStream(CudaQueue& queue, int priority) {
  int least = 0;
  int greatest = 0;
  CheckCuda(cudaSetDevice(queue.device()), "choosing the device");
  CheckCuda(cudaDeviceGetStreamPriorityRange(&least, &greatest), "asking for priorities");
  cudaStream_t stream = nullptr;
  CheckCuda(cudaStreamCreateWithPriority(&stream, cudaStreamNonBlocking,
                                         std::clamp(priority, greatest, least)),
            "making a stream");
  return stream;
}

}  // namespace

// Events without times, used again and again: a warm step makes none.
class CudaEventPool {
 public:
  CudaEventPool() = default;
  ~CudaEventPool() {
    for (cudaEvent_t event : free_) cudaEventDestroy(event);
  }
  CudaEventPool(const CudaEventPool&) = delete;
  CudaEventPool& operator=(const CudaEventPool&) = delete;

  cudaEvent_t Take() {
    absl::MutexLock lock(&mutex_);
    cudaEvent_t event = nullptr;
    if (free_.empty()) {
      CheckCuda(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "making an event");
      return event;
    }
    event = free_.back();
    free_.pop_back();
    return event;
  }
  void Return(cudaEvent_t event) {
    absl::MutexLock lock(&mutex_);
    free_.push_back(event);
  }

 private:
  absl::Mutex mutex_;
  std::vector<cudaEvent_t> free_ ABSL_GUARDED_BY(mutex_);
};

namespace {

class CudaEvent final : public Event {
 public:
  explicit CudaEvent(std::shared_ptr<CudaEventPool> pool)
      : pool_(std::move(pool)), event_(pool_->Take()) {}
  ~CudaEvent() override { pool_->Return(event_); }

  bool Reached() const override {
    return recorded_->Reached() && cudaEventQuery(event_) == cudaSuccess;
  }

  cudaEvent_t device() const { return event_; }
  const std::shared_ptr<Event>& recorded() const { return recorded_; }
  void set_recorded(std::shared_ptr<Event> recorded) { recorded_ = std::move(recorded); }

 private:
  const std::shared_ptr<CudaEventPool> pool_;
  const cudaEvent_t event_;
  std::shared_ptr<Event> recorded_;  // the thread has given the event to the device
};

}  // namespace

CudaStream::CudaStream(CudaQueue& queue, const std::string& name, int priority)
    : queue_(queue),
      events_(std::make_shared<CudaEventPool>()),
      stream_(MakeStream(queue, priority)),
      thread_(name) {
  // Every thread has a device of its own.
  thread_
      .Enqueue([this] { return CudaStatus(cudaSetDevice(queue_.device()), "choosing the device"); })
      .IgnoreError();
}

CudaStream::~CudaStream() {
  thread_.Synchronize().IgnoreError();
  cudaStreamSynchronize(stream_);
  for (cudaEvent_t timer : timers_) cudaEventDestroy(timer);
  if (anchor_ != nullptr) cudaEventDestroy(anchor_);
  cudaStreamDestroy(stream_);
}

absl::Status CudaStream::Enqueue(Work work) {
  return thread_.Enqueue([this, issue = std::move(work)] {
    const CudaQueue::Scope scope(queue_, stream_);
    WEFT_RETURN_IF_ERROR(issue());
    return scope.error().empty() ? absl::OkStatus() : absl::InternalError(scope.error());
  });
}

absl::StatusOr<std::shared_ptr<Event>> CudaStream::Record() {
  auto event = std::make_shared<CudaEvent>(events_);
  // Skipped when the stream has failed: who waits then waits for the thread alone.
  WEFT_RETURN_IF_ERROR(thread_.Enqueue([this, device = event->device(), keep = event] {
    return CudaStatus(cudaEventRecord(device, stream_), "recording an event");
  }));
  WEFT_ASSIGN_OR_RETURN(std::shared_ptr<Event> recorded, thread_.Record());
  event->set_recorded(std::move(recorded));
  return event;
}

absl::Status CudaStream::Wait(std::shared_ptr<Event> event) {
  auto other = std::dynamic_pointer_cast<CudaEvent>(event);
  if (other == nullptr) {
    return absl::InvalidArgumentError("a CUDA stream can wait for events of CUDA streams only");
  }
  WEFT_RETURN_IF_ERROR(thread_.Wait(other->recorded()));
  return thread_.Enqueue([this, keep = std::move(other)] {
    return CudaStatus(cudaStreamWaitEvent(stream_, keep->device(), 0), "waiting for an event");
  });
}

absl::Status CudaStream::Synchronize() {
  absl::Status status = thread_.Synchronize();
  status.Update(CudaStatus(cudaStreamSynchronize(stream_), "running a step"));
  for (const PendingStamp& stamp : stamps_) {
    float milliseconds = 0;
    if (!status.ok()) break;
    status.Update(CudaStatus(cudaEventElapsedTime(&milliseconds, anchor_, stamp.event),
                             "reading the time of an event"));
    *stamp.nanos = anchor_nanos_ + std::llround(static_cast<double>(milliseconds) * 1e6);
  }
  stamps_.clear();
  timers_used_ = 0;
  return status;
}

// The device's time and the host's at one moment. Once for the stamps between two Synchronize: the
// clocks drift, and elapsed milliseconds lose digits as they grow.
absl::Status CudaStream::Anchor(const Clock& clock) {
  if (anchor_ == nullptr) {
    WEFT_RETURN_IF_ERROR(
        CudaStatus(cudaEventCreateWithFlags(&anchor_, cudaEventDefault), "making an event"));
  }
  WEFT_RETURN_IF_ERROR(CudaStatus(cudaEventRecord(anchor_, stream_), "recording an event"));
  WEFT_RETURN_IF_ERROR(CudaStatus(cudaEventSynchronize(anchor_), "waiting for an event"));
  anchor_nanos_ = clock.NowNanos();
  return absl::OkStatus();
}

cudaEvent_t CudaStream::NextTimer() {
  if (timers_used_ == timers_.size()) {
    timers_.push_back(nullptr);
    CheckCuda(cudaEventCreateWithFlags(&timers_.back(), cudaEventDefault), "making an event");
  }
  return timers_[timers_used_++];
}

void CudaStream::Stamp(const Clock& clock, int64_t* nanos) {
  if (stamps_.empty() && !Anchor(clock).ok()) return;
  const cudaEvent_t timer = NextTimer();
  queue_.Issued(cudaEventRecord(timer, stream_), "taking the time");
  stamps_.push_back({timer, nanos});
}

#if WEFT_NVTX
void CudaStream::BeginRange(const std::string& name) { nvtxRangePushA(name.c_str()); }
void CudaStream::EndRange() { nvtxRangePop(); }
#else
void CudaStream::BeginRange(const std::string& /*name*/) {}
void CudaStream::EndRange() {}
#endif

}  // namespace weft
