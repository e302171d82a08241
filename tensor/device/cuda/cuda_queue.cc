#include "tensor/device/cuda/cuda_queue.h"

#include "base/check.h"
#include "tensor/device/cuda/cuda_error.h"

namespace weft {
namespace {

thread_local CudaQueue::Scope* innermost = nullptr;

}  // namespace

CudaQueue::CudaQueue(int device) : device_(device) {
  CheckCuda(cudaSetDevice(device_), "choosing the device");
  CheckCuda(cudaStreamCreateWithPriority(&outside_, cudaStreamNonBlocking, 0), "making a stream");
}

CudaQueue::~CudaQueue() { cudaStreamDestroy(outside_); }

CudaQueue::Scope* CudaQueue::scope() const {
  Scope* scope = innermost;
  while (scope != nullptr && &scope->queue_ != this) scope = scope->outer_;
  return scope;
}

cudaStream_t CudaQueue::stream() {
  if (const Scope* const own = scope()) return own->stream_;
  CheckCuda(cudaSetDevice(device_), "choosing the device");
  return outside_;
}

bool CudaQueue::Issued(cudaError_t error, const char* what) {
  Scope* const own = scope();
  if (own == nullptr) {
    CheckCuda(error, what);
    CheckCuda(cudaStreamSynchronize(outside_), what);
  } else if (error != cudaSuccess && own->error_.empty()) {
    own->error_ = CudaErrorText(error, what);
  }
  return error == cudaSuccess;
}

void CudaQueue::Failed(const std::string& text) {
  Scope* const own = scope();
  WEFT_CHECK(own != nullptr, text);
  if (own->error_.empty()) own->error_ = text;
}

bool CudaQueue::Finish(const char* what) { return Issued(cudaStreamSynchronize(stream()), what); }

CudaQueue::Scope::Scope(CudaQueue& queue, cudaStream_t stream)
    : queue_(queue), stream_(stream), outer_(innermost) {
  innermost = this;
}

CudaQueue::Scope::~Scope() { innermost = outer_; }

}  // namespace weft
