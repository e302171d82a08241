#pragma once

#include <cstdint>
#include <initializer_list>

#include "tensor/kernels/cuda/element.h"
#include "tensor/view.h"

// From the types, widths and addresses of a call's tensors to the instance of its kernel. For CUDA
// sources alone.

namespace weft {

// The view's data; null where the view is empty, whatever its type.
template <typename T>
const T* OrNull(const ConstTensorView& view) {
  return view.data == nullptr ? nullptr : view.as<T>();
}
template <typename T>
T* OrNull(const TensorView& view) {
  return view.data == nullptr ? nullptr : view.as<T>();
}

// Whether widest accesses can reach everything at these addresses, in rows of `width` elements of
// T.
template <typename T>
bool WideAccess(int64_t width, std::initializer_list<const void*> addresses) {
  uint64_t bits = static_cast<uint64_t>(width) * sizeof(T);
  for (const void* address : addresses) bits |= reinterpret_cast<uintptr_t>(address);
  return bits % 16 == 0;
}

// Calls f.template operator()<T>() with the element type.
template <typename F>
void WithElement(DType dtype, F f) {
  if (dtype == DType::kBF16) {
    f.template operator()<BFloat16>();
  } else {
    f.template operator()<float>();
  }
}

// For operations on each element alone: calls f.template operator()<T, kPack>(), with packs of a
// widest access where such can reach everything, otherwise of one element.
template <typename F>
void WithPacks(DType dtype, int64_t width, std::initializer_list<const void*> addresses, F f) {
  WithElement(dtype, [&]<typename T>() {
    if (WideAccess<T>(width, addresses)) {
      f.template operator()<T, kVector<T>>();
    } else {
      f.template operator()<T, 1>();
    }
  });
}

// For sums along rows: calls f.template operator()<T, kPack, kAligned>(). The packs of a row, and
// with them the order of a sum, depend on the width alone; the addresses, which are not the same
// for every cut of a batch, decide how a pack is read.
template <typename F>
void WithRowPacks(DType dtype, int64_t width, std::initializer_list<const void*> addresses, F f) {
  WithElement(dtype, [&]<typename T>() {
    if (WideAccess<T>(width, addresses)) {
      f.template operator()<T, kVector<T>, true>();
    } else if (width % kVector<T> == 0) {
      f.template operator()<T, kVector<T>, false>();
    } else {
      f.template operator()<T, 1, true>();
    }
  });
}

}  // namespace weft
