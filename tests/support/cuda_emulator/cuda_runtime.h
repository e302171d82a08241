#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <tuple>
#include <utility>

// The part of CUDA's runtime and language that Weft uses, on the host: stands where CUDA's header
// of this name would, so that tensor/device/cuda and tensor/kernels/cuda run in tests on machines
// without a GPU. Made to find mistakes, not to be fast:
// - Device memory can be touched by kernels and copies alone; it begins as garbage.
// - A stream's work is done when somebody waits for it, and no earlier: who reads a result without
//   waiting, or forgets to let one stream wait for another, reads what was there before.
// - The threads of a block are fibers that take turns at barriers and shuffles, in an order that
//   changes from block to block; threads that wait at different barriers are an error.
// Blocks run one after another. Clusters, tensor cores, asynchronous copies inside kernels and
// atomics do not exist here.

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __shared__ static thread_local
#define __launch_bounds__(...)
#define __align__(bytes) alignas(bytes)

struct uint3 {
  unsigned x = 0, y = 0, z = 0;
};
struct dim3 {
  unsigned x, y, z;
  // NOLINTNEXTLINE(google-explicit-constructor): as CUDA's
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};

enum cudaError_t : int {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorMemoryAllocation = 2,
  cudaErrorInsufficientDriver = 35,
  cudaErrorNoDevice = 100,
  cudaErrorNotReady = 600,
  cudaErrorLaunchFailure = 719,
};
struct CUstream_st;
struct CUevent_st;
using cudaStream_t = CUstream_st*;
using cudaEvent_t = CUevent_st*;

inline constexpr unsigned cudaStreamNonBlocking = 1;
inline constexpr unsigned cudaEventDefault = 0;
inline constexpr unsigned cudaEventDisableTiming = 2;
inline constexpr unsigned cudaHostAllocDefault = 0;
enum cudaMemcpyKind : int {
  cudaMemcpyHostToDevice = 1,
  cudaMemcpyDeviceToHost = 2,
  cudaMemcpyDeviceToDevice = 3,
  cudaMemcpyDefault = 4,
};

enum cudaMemoryType : int {
  cudaMemoryTypeUnregistered = 0,
  cudaMemoryTypeHost = 1,
  cudaMemoryTypeDevice = 2,
};
struct cudaPointerAttributes {
  cudaMemoryType type;
  int device;
  void* devicePointer;
  void* hostPointer;
};

struct cudaDeviceProp {
  char name[256];
  size_t totalGlobalMem;
  int multiProcessorCount;
  int major;
  int minor;
};

cudaError_t cudaGetDeviceCount(int* count);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device);
cudaError_t cudaDriverGetVersion(int* version);
cudaError_t cudaRuntimeGetVersion(int* version);
cudaError_t cudaMemGetInfo(size_t* free, size_t* total);
const char* cudaGetErrorName(cudaError_t error);
const char* cudaGetErrorString(cudaError_t error);
cudaError_t cudaPeekAtLastError();
cudaError_t cudaGetLastError();

cudaError_t cudaMalloc(void** data, size_t bytes);
cudaError_t cudaFree(void* data);
cudaError_t cudaHostAlloc(void** data, size_t bytes, unsigned flags);
cudaError_t cudaFreeHost(void* data);
cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* data);
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream);
cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t stream);

cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest);
cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags, int priority);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags = 0);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags);
cudaError_t cudaEventDestroy(cudaEvent_t event);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t cudaEventQuery(cudaEvent_t event);
cudaError_t cudaEventSynchronize(cudaEvent_t event);
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end);

struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  size_t dynamicSmemBytes = 0;
  cudaStream_t stream = nullptr;
  void* attrs = nullptr;
  unsigned numAttrs = 0;
};

// What kernels see.
extern thread_local uint3 threadIdx, blockIdx;
extern thread_local dim3 blockDim, gridDim;
void __syncthreads();
void __syncwarp(unsigned mask = 0xffffffffu);

namespace cuda_emulator {

cudaError_t Launch(const cudaLaunchConfig_t& config, std::function<void()> thread);

// The 64 bits that each lane of this warp gave, until the next exchange but one; every lane calls
// it together.
const std::array<uint64_t, 32>& Exchange(uint64_t mine);
unsigned Lane();

template <typename T>
T ShuffleOf(T value, unsigned from) {
  static_assert(sizeof(T) <= 8);
  uint64_t bits = 0;
  __builtin_memcpy(&bits, &value, sizeof(T));
  bits = Exchange(bits)[from % 32];
  __builtin_memcpy(&value, &bits, sizeof(T));
  return value;
}

}  // namespace cuda_emulator

template <typename T>
T __shfl_xor_sync(unsigned /*mask*/, T value, int lanes) {
  return cuda_emulator::ShuffleOf(value, cuda_emulator::Lane() ^ static_cast<unsigned>(lanes));
}
template <typename T>
T __shfl_sync(unsigned /*mask*/, T value, int lane) {
  return cuda_emulator::ShuffleOf(value, static_cast<unsigned>(lane));
}

// Of all lanes: REQUIRES that none has returned.
template <typename T>
unsigned __match_any_sync(unsigned /*mask*/, T value) {
  const uint64_t bits = static_cast<uint64_t>(value);
  const auto& given = cuda_emulator::Exchange(bits);
  unsigned same = 0;
  for (unsigned lane = 0; lane < 32; ++lane) same |= unsigned{given[lane] == bits} << lane;
  return same;
}
inline unsigned __reduce_max_sync(unsigned /*mask*/, unsigned value) {
  const auto& given = cuda_emulator::Exchange(value);
  return static_cast<unsigned>(*std::max_element(given.begin(), given.end()));
}
inline unsigned __reduce_min_sync(unsigned /*mask*/, unsigned value) {
  const auto& given = cuda_emulator::Exchange(value);
  return static_cast<unsigned>(*std::min_element(given.begin(), given.end()));
}
inline int __popc(unsigned bits) { return std::popcount(bits); }

template <typename... Parameters, typename... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...),
                               Arguments&&... arguments) {
  return cuda_emulator::Launch(
      *config, [kernel, values = std::tuple<Parameters...>(std::forward<Arguments>(arguments)...)] {
        std::apply(kernel, values);
      });
}
