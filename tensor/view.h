#pragma once

#include <cstdint>

#include "base/check.h"
#include "base/dtype.h"
#include "tensor/row_range.h"
#include "tensor/shape.h"

// Views: a pointer, an element type and a shape; contiguous row-major, never owning. The memory is
// of the device whose stream the operation runs on.

namespace weft {

struct TensorView;

struct ConstTensorView {
  const void* data = nullptr;
  DType dtype = DType::kF32;
  Shape shape;

  int64_t elements() const { return shape.elements(); }
  int64_t bytes() const { return elements() * SizeOf(dtype); }
  int64_t dim(int i) const { return shape[i]; }
  // REQUIRES: T is the element type.
  template <typename T>
  const T* as() const {
    WEFT_CHECK(DTypeOf<T>::value == dtype, "element type of the view");
    return static_cast<const T*>(data);
  }
};

struct TensorView {
  void* data = nullptr;
  DType dtype = DType::kF32;
  Shape shape;

  int64_t elements() const { return shape.elements(); }
  int64_t bytes() const { return elements() * SizeOf(dtype); }
  int64_t dim(int i) const { return shape[i]; }
  template <typename T>
  T* as() const {
    WEFT_CHECK(DTypeOf<T>::value == dtype, "element type of the view");
    return static_cast<T*>(data);
  }
  // A view reads where a ConstTensorView is asked for.
  // NOLINTNEXTLINE(google-explicit-constructor)
  operator ConstTensorView() const { return {data, dtype, shape}; }
};

template <typename T>
TensorView View(T* data, const Shape& shape) {
  return {data, DTypeOf<T>::value, shape};
}
template <typename T>
ConstTensorView View(const T* data, const Shape& shape) {
  return {data, DTypeOf<T>::value, shape};
}

// Elements [begin, begin + count) of a view, as a vector. REQUIRES: in range.
inline TensorView Elements(const TensorView& v, int64_t begin, int64_t count) {
  WEFT_CHECK(begin >= 0 && count >= 0 && begin + count <= v.elements(), "element range");
  return {static_cast<char*>(v.data) + begin * SizeOf(v.dtype), v.dtype, {count}};
}

// Rows [begin, begin + count) of a view whose first dimension is rows. REQUIRES: in range.
inline ConstTensorView Rows(const ConstTensorView& v, int64_t begin, int64_t count) {
  WEFT_CHECK(v.shape.rank() == 2 && begin >= 0 && count >= 0 && begin + count <= v.dim(0),
             "row range");
  return {static_cast<const char*>(v.data) + begin * v.dim(1) * SizeOf(v.dtype),
          v.dtype,
          {count, v.dim(1)}};
}
inline TensorView Rows(const TensorView& v, int64_t begin, int64_t count) {
  WEFT_CHECK(v.shape.rank() == 2 && begin >= 0 && count >= 0 && begin + count <= v.dim(0),
             "row range");
  return {
      static_cast<char*>(v.data) + begin * v.dim(1) * SizeOf(v.dtype), v.dtype, {count, v.dim(1)}};
}
inline ConstTensorView Rows(const ConstTensorView& v, RowRange rows) {
  return Rows(v, rows.begin, rows.count());
}
inline TensorView Rows(const TensorView& v, RowRange rows) {
  return Rows(v, rows.begin, rows.count());
}

}  // namespace weft
