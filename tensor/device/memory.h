#pragma once

#include <cstdint>

#include "tensor/view.h"

namespace weft {

// Where tensors live: host memory, or a device's. Buffers are made in one, kernels work in one
// (tensor/kernels/kernels.h). What lives in a device's is reached through kernels, communicators
// and these four functions alone: code that holds to that runs on every device
// (docs/decisions/0023-kernels-own-the-memory.md).
//
// From inside a stream's Work the four run in that stream's order; elsewhere they have ended on
// return. REQUIRES: views of equal sizes in bytes. Thread-safe.
class Memory {
 public:
  virtual ~Memory() = default;

  // Zeroed, aligned to 64 bytes at least. No room left is fatal: the planner weighs a job's needs
  // before it starts. REQUIRES: bytes > 0.
  virtual void* Allocate(int64_t bytes) = 0;
  virtual void Free(void* data) = 0;

  // Whether what stands at `data` is in this memory.
  virtual bool Holds(const void* data) const = 0;

  // Both in this memory.
  void Copy(const ConstTensorView& from, const TensorView& to);
  void Zero(const TensorView& to);
  // `host` may be written again on return.
  void FromHost(const ConstTensorView& host, const TensorView& to);
  // `host` has the values on return.
  void ToHost(const ConstTensorView& from, const TensorView& host);

 private:
  virtual void CopyBytes(const void* from, void* to, int64_t bytes) = 0;
  virtual void ZeroBytes(void* to, int64_t bytes) = 0;
  virtual void BytesFromHost(const void* host, void* to, int64_t bytes) = 0;
  virtual void BytesToHost(const void* from, void* host, int64_t bytes) = 0;
};

Memory& HostMemory();

}  // namespace weft
