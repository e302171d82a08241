#pragma once

#include "tensor/device/cuda/launch.h"
#include "tensor/kernels/cuda/dispatch.h"

// Operations on each element by itself, on tensors of any shape: a thread for each pack, the last
// of which may be in part. `f` is a function of floats for the device; y may be one of the
// operands. For CUDA sources alone.

namespace weft {

inline constexpr unsigned kMapThreads = 256;

template <int kPack, typename F, typename From, typename To>
__global__ void UnaryKernel(F f, const From* x, To* y, int64_t elements) {
  const int64_t first = (int64_t{blockIdx.x} * kMapThreads + threadIdx.x) * kPack;
  if (first + kPack <= elements) {
    Pack<kPack> values = Load<kPack>(x + first);
#pragma unroll
    for (int i = 0; i < kPack; ++i) values.at[i] = f(values.at[i]);
    Store(values, y + first);
  } else {
    for (int64_t i = first; i < elements; ++i) y[i] = FromFloat<To>(f(ToFloat(x[i])));
  }
}

template <int kPack, typename F, typename T>
__global__ void BinaryKernel(F f, const T* a, const T* b, T* y, int64_t elements) {
  const int64_t first = (int64_t{blockIdx.x} * kMapThreads + threadIdx.x) * kPack;
  if (first + kPack <= elements) {
    Pack<kPack> values = Load<kPack>(a + first);
    const Pack<kPack> others = Load<kPack>(b + first);
#pragma unroll
    for (int i = 0; i < kPack; ++i) values.at[i] = f(values.at[i], others.at[i]);
    Store(values, y + first);
  } else {
    for (int64_t i = first; i < elements; ++i) {
      y[i] = FromFloat<T>(f(ToFloat(a[i]), ToFloat(b[i])));
    }
  }
}

// y = f(x); both of one type T.
template <typename F>
void Map(CudaQueue& queue, const char* name, F f, const ConstTensorView& x, const TensorView& y) {
  const int64_t n = y.elements();
  if (n == 0) return;
  WithPacks(y.dtype, 0, {x.data, y.data}, [&]<typename T, int kPack>() {
    Launch(queue, name, GroupsOf(n, kPack * kMapThreads), kMapThreads, UnaryKernel<kPack, F, T, T>,
           f, x.as<T>(), y.as<T>(), n);
  });
}

// y = f(a, b); all of one type T.
template <typename F>
void Map(CudaQueue& queue, const char* name, F f, const ConstTensorView& a,
         const ConstTensorView& b, const TensorView& y) {
  const int64_t n = y.elements();
  if (n == 0) return;
  WithPacks(y.dtype, 0, {a.data, b.data, y.data}, [&]<typename T, int kPack>() {
    Launch(queue, name, GroupsOf(n, kPack * kMapThreads), kMapThreads, BinaryKernel<kPack, F, T>, f,
           a.as<T>(), b.as<T>(), y.as<T>(), n);
  });
}

}  // namespace weft
