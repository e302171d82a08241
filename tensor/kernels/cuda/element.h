#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <type_traits>

#include "base/bfloat16.h"
#include "base/dtype.h"

// Elements of tensors in kernels: T, the type of what kernels.h calls so, is float or BFloat16, and
// all arithmetic is in float. Memory is read and written by packs, neighbours that one access
// holds. For CUDA sources alone.

namespace weft {

// Elements of the widest access, of 16 bytes.
template <typename T>
inline constexpr int kVector = 16 / static_cast<int>(sizeof(T));

__device__ __forceinline__ float ToFloat(float value) { return value; }
__device__ __forceinline__ float ToFloat(BFloat16 value) { return value.ToFloat(); }

// To the nearest, ties to even. NaN stays NaN; which one is the device's choice.
template <typename T>
__device__ __forceinline__ T FromFloat(float value) {
  if constexpr (std::is_same_v<T, float>) {
    return value;
  } else {
#ifdef __CUDA_ARCH__
    BFloat16 out;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(out.bits) : "f"(value));
    return out;
#else
    return BFloat16::FromFloat(value);
#endif
  }
}

// Two neighbours at once, which is one instruction for both.
template <typename T>
__device__ __forceinline__ void FromFloats(float first, float second, T* to) {
#ifdef __CUDA_ARCH__
  if constexpr (std::is_same_v<T, BFloat16>) {
    asm("{ .reg .b32 pair; cvt.rn.bf16x2.f32 pair, %3, %2; mov.b32 {%0, %1}, pair; }"
        : "=h"(to[0].bits), "=h"(to[1].bits)
        : "f"(first), "f"(second));
    return;
  }
#endif
  to[0] = FromFloat<T>(first);
  to[1] = FromFloat<T>(second);
}

template <int kCount>
struct Pack {
  float at[kCount];
};

template <int kCount>
__device__ __forceinline__ void AddTo(Pack<kCount>& sum, const Pack<kCount>& values) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) sum.at[i] += values.at[i];
}

// What one access moves.
template <typename T, int kCount>
struct alignas(sizeof(T) * kCount) Accessed {
  T at[kCount];
};

// Of kCount elements, more than one access may move.
template <typename T, int kCount>
inline constexpr int kOfAccess = kCount < kVector<T> ? kCount : kVector<T>;

// The kCount elements from `from` on. REQUIRES, when kAligned: it is a multiple of their bytes, or
// of 16.
template <int kCount, bool kAligned = true, typename T>
__device__ __forceinline__ Pack<kCount> Load(const T* from) {
  constexpr int kStep = kAligned ? kOfAccess<T, kCount> : 1;
  using Access = Accessed<T, kStep>;
  Pack<kCount> out;
#pragma unroll
  for (int first = 0; first < kCount; first += kStep) {
    const Access access = *reinterpret_cast<const Access*>(from + first);
#pragma unroll
    for (int i = 0; i < kStep; ++i) out.at[first + i] = ToFloat(access.at[i]);
  }
  return out;
}

// Rounds what T cannot hold. REQUIRES: as Load.
template <bool kAligned = true, int kCount, typename T>
__device__ __forceinline__ void Store(const Pack<kCount>& values, T* to) {
  constexpr int kStep = kAligned ? kOfAccess<T, kCount> : 1;
  using Access = Accessed<T, kStep>;
#pragma unroll
  for (int first = 0; first < kCount; first += kStep) {
    Access access;
    if constexpr (kStep == 1) access.at[0] = FromFloat<T>(values.at[first]);
#pragma unroll
    for (int i = 0; i + 1 < kStep; i += 2) {
      FromFloats(values.at[first + i], values.at[first + i + 1], access.at + i);
    }
    *reinterpret_cast<Access*>(to + first) = access;
  }
}

}  // namespace weft
