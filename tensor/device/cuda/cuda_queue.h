#pragma once

#include <cuda_runtime.h>

#include <string>

// Where the device work of a thread goes. Free of Abseil: nvcc reads it.

namespace weft {

// One device's. Inside a stream's Work (CudaStream) work goes to that stream, in its order.
// Outside, it goes to a stream of the device's own and has ended when the call that issued it
// returns. Thread-safe.
class CudaQueue {
 public:
  explicit CudaQueue(int device);
  ~CudaQueue();
  CudaQueue(const CudaQueue&) = delete;
  CudaQueue& operator=(const CudaQueue&) = delete;

  int device() const { return device_; }

  // Whether this thread runs the Work of a stream of the device.
  bool inside_work() const { return scope() != nullptr; }

  // Selects the device for this thread and returns the stream.
  cudaStream_t stream();
  // After a call that gave work to stream(). The first error of a Work is kept for its stream;
  // outside of one an error is fatal. False when the call failed.
  bool Issued(cudaError_t error, const char* what);
  // The same for a library that did not take its work: `text` says why.
  void Failed(const std::string& text);
  // Waits until all work of this thread's stream has ended. Errors as in Issued.
  bool Finish(const char* what);

  // While it lives, this thread's work for the device goes to `stream`.
  class Scope {
   public:
    Scope(CudaQueue& queue, cudaStream_t stream);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

    const std::string& error() const { return error_; }  // of the first call that failed; or empty

   private:
    friend class CudaQueue;
    CudaQueue& queue_;
    cudaStream_t stream_;
    Scope* outer_;
    std::string error_;
  };

 private:
  Scope* scope() const;  // of this thread and this queue, or null

  int device_;
  cudaStream_t outside_ = nullptr;
};

}  // namespace weft
