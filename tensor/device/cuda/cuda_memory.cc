#include "tensor/device/cuda/cuda_memory.h"

#include <algorithm>
#include <cstring>

#include "tensor/device/cuda/cuda_error.h"

namespace weft {
namespace {

// A thread's way to the host: small, since what comes often is small.
class Staging {
 public:
  static constexpr int64_t kBytes = int64_t{1} << 20;

  Staging() { CheckCuda(cudaHostAlloc(&data_, kBytes, cudaHostAllocDefault), "pinning memory"); }
  ~Staging() { cudaFreeHost(data_); }
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  void* data() const { return data_; }

 private:
  void* data_ = nullptr;
};

cudaMemoryType TypeOf(const void* data) {
  cudaPointerAttributes attributes{};
  CheckCuda(cudaPointerGetAttributes(&attributes, data), "asking where memory is");
  return attributes.type;
}

void* StagingOfThisThread() {
  static thread_local const Staging staging;
  return staging.data();
}

}  // namespace

void* CudaMemory::Allocate(int64_t bytes) {
  CheckCuda(cudaSetDevice(queue_.device()), "choosing the device");
  void* data = nullptr;
  CheckCuda(cudaMalloc(&data, static_cast<size_t>(bytes)), "allocating memory");
  ZeroBytes(data, bytes);
  // Whoever uses it may use another stream.
  queue_.Finish("clearing memory");
  return data;
}

void CudaMemory::Free(void* data) {
  if (data != nullptr) CheckCuda(cudaFree(data), "freeing memory");
}

void CudaMemory::CopyBytes(const void* from, void* to, int64_t bytes) {
  queue_.Issued(cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyDeviceToDevice,
                                queue_.stream()),
                "copying");
}

void CudaMemory::ZeroBytes(void* to, int64_t bytes) {
  queue_.Issued(cudaMemsetAsync(to, 0, static_cast<size_t>(bytes), queue_.stream()), "clearing");
}

bool CudaMemory::Holds(const void* data) const { return TypeOf(data) == cudaMemoryTypeDevice; }

// Pageable memory has been read when the call returns, by CUDA's own pinned buffers; pinned memory
// has not.
void CudaMemory::BytesFromHost(const void* host, void* to, int64_t bytes) {
  const bool issued = queue_.Issued(cudaMemcpyAsync(to, host, static_cast<size_t>(bytes),
                                                    cudaMemcpyHostToDevice, queue_.stream()),
                                    "copying from the host");
  if (issued && TypeOf(host) == cudaMemoryTypeHost) queue_.Finish("copying from the host");
}

void CudaMemory::BytesToHost(const void* from, void* host, int64_t bytes) {
  if (TypeOf(host) == cudaMemoryTypeHost) {
    Fetch(from, host, bytes);
    return;
  }
  void* const staging = StagingOfThisThread();
  for (int64_t done = 0; done < bytes; done += Staging::kBytes) {
    const int64_t part = std::min(bytes - done, Staging::kBytes);
    Fetch(static_cast<const char*>(from) + done, staging, part);
    std::memcpy(static_cast<char*>(host) + done, staging, static_cast<size_t>(part));
  }
}

void CudaMemory::Fetch(const void* from, void* pinned, int64_t bytes) {
  const auto size = static_cast<size_t>(bytes);
  const bool copied =
      queue_.Issued(cudaMemcpyAsync(pinned, from, size, cudaMemcpyDeviceToHost, queue_.stream()),
                    "copying to the host") &&
      queue_.Finish("copying to the host");
  // Who reads it before the error is seen finds zeros, not what was there before.
  if (!copied) std::memset(pinned, 0, size);
}

void* CudaPinnedMemory::Allocate(int64_t bytes) {
  void* data = nullptr;
  CheckCuda(cudaHostAlloc(&data, static_cast<size_t>(bytes), cudaHostAllocDefault),
            "pinning memory");
  std::memset(data, 0, static_cast<size_t>(bytes));
  return data;
}

void CudaPinnedMemory::Free(void* data) {
  if (data != nullptr) CheckCuda(cudaFreeHost(data), "freeing pinned memory");
}

bool CudaPinnedMemory::Holds(const void* data) const { return TypeOf(data) == cudaMemoryTypeHost; }

void CudaPinnedMemory::CopyBytes(const void* from, void* to, int64_t bytes) {
  std::memcpy(to, from, static_cast<size_t>(bytes));
}

void CudaPinnedMemory::ZeroBytes(void* to, int64_t bytes) {
  std::memset(to, 0, static_cast<size_t>(bytes));
}

void CudaPinnedMemory::BytesFromHost(const void* host, void* to, int64_t bytes) {
  CopyBytes(host, to, bytes);
}

void CudaPinnedMemory::BytesToHost(const void* from, void* host, int64_t bytes) {
  CopyBytes(from, host, bytes);
}

}  // namespace weft
