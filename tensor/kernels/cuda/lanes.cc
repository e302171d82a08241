#include "tensor/kernels/cuda/lanes.h"

#include "base/check.h"
#include "tensor/device/cuda/cuda_error.h"

namespace weft {

Lanes::~Lanes() {
  if (begin_ == nullptr) return;
  for (const Lane& lane : lanes_) {
    cudaStreamDestroy(lane.stream);
    cudaEventDestroy(lane.done);
  }
  cudaEventDestroy(begin_);
}

void Lanes::Make() {
  for (Lane& lane : lanes_) {
    CheckCuda(cudaStreamCreateWithPriority(&lane.stream, cudaStreamNonBlocking, 0),
              "making a stream");
    CheckCuda(cudaEventCreateWithFlags(&lane.done, cudaEventDisableTiming), "making an event");
  }
  CheckCuda(cudaEventCreateWithFlags(&begin_, cudaEventDisableTiming), "making an event");
}

void Lanes::Fork(int count) {
  WEFT_CHECK(count <= kMost && forked_ == 0, "lanes are forked once, and there are so many");
  const cudaStream_t caller = queue_.stream();
  if (begin_ == nullptr) Make();
  queue_.Issued(cudaEventRecord(begin_, caller), "forking streams");
  for (forked_ = 0; forked_ < count; ++forked_) {
    queue_.Issued(cudaStreamWaitEvent(stream(forked_), begin_, 0), "forking streams");
  }
}

void Lanes::Join() {
  const cudaStream_t caller = queue_.stream();
  for (; forked_ > 0; --forked_) {
    const Lane& lane = lanes_.at(static_cast<size_t>(forked_ - 1));
    // From here on the caller's stream has the lane's work, and its errors.
    cudaError_t error = cudaEventRecord(lane.done, lane.stream);
    if (error == cudaSuccess) error = cudaStreamWaitEvent(caller, lane.done, 0);
    queue_.Issued(error, "joining streams");
  }
}

}  // namespace weft
