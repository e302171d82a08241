#pragma once

#include <cstdint>
#include <memory>

#include "base/dtype.h"
#include "tensor/device/memory.h"
#include "tensor/shape.h"
#include "tensor/view.h"

namespace weft {

// A piece of a memory, zeroed when it is made. Grows, never shrinks; growing keeps nothing. Every
// growth is counted per process, so that a test (and the run's summary) can show that a warm step
// allocates nothing.
class Buffer {
 public:
  Buffer() : Buffer(HostMemory()) {}
  // `memory` outlives the buffer.
  explicit Buffer(Memory& memory) : data_(nullptr, Free{&memory}) {}

  // Makes room for `bytes`; existing contents are lost when it has to grow. Returns true when it
  // grew.
  bool Reserve(int64_t bytes);

  void* data() const { return data_.get(); }
  int64_t capacity_bytes() const { return capacity_; }

  // A view of the buffer's start. Grows it when needed (see Reserve).
  template <typename T>
  TensorView Ensure(const Shape& shape) {
    Reserve(shape.elements() * static_cast<int64_t>(sizeof(T)));
    return View(static_cast<T*>(data()), shape);
  }
  TensorView Ensure(DType dtype, const Shape& shape) {
    Reserve(shape.elements() * SizeOf(dtype));
    return {data(), dtype, shape};
  }
  // The start of the buffer as T. REQUIRES: the shape fits.
  template <typename T>
  TensorView view(const Shape& shape) const {
    WEFT_CHECK(shape.elements() * static_cast<int64_t>(sizeof(T)) <= capacity_,
               "shape fits the buffer");
    return View(static_cast<T*>(data()), shape);
  }
  TensorView view(DType dtype, const Shape& shape) const {
    WEFT_CHECK(shape.elements() * SizeOf(dtype) <= capacity_, "shape fits the buffer");
    return {data(), dtype, shape};
  }
  template <typename T>
  T* as() const {
    return static_cast<T*>(data());
  }

  static int64_t GrowthCount();  // of all buffers of this process, since its start

 private:
  struct Free {
    Memory* memory;
    void operator()(void* data) const { memory->Free(data); }
  };
  std::unique_ptr<void, Free> data_;
  int64_t capacity_ = 0;
};

}  // namespace weft
