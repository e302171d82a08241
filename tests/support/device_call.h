#pragma once

#include <cstdint>
#include <deque>

#include "tensor/device/memory.h"

namespace weft {

// The tensors of one call of a test that has them on the host, in a device's memory: copied there
// as they are named, and back at the end when they may have been written. The same host tensor is
// the same tensor there.
class DeviceCall {
 public:
  // Tensors begin where an allocation does; those of which `shifted` has the bit (of the first, the
  // second, ... that is named) an element later, as rows of a view may.
  explicit DeviceCall(Memory& memory, uint64_t shifted = 0) : memory_(memory), shifted_(shifted) {}
  ~DeviceCall() {
    for (const Tensor& tensor : tensors_) {
      if (tensor.written) memory_.ToHost(tensor.device, tensor.host);
      memory_.Free(tensor.allocated);
    }
  }
  DeviceCall(const DeviceCall&) = delete;
  DeviceCall& operator=(const DeviceCall&) = delete;

  ConstTensorView In(const ConstTensorView& host) {
    return Stage({const_cast<void*>(host.data), host.dtype, host.shape}, false);
  }
  TensorView Out(const TensorView& host) { return Stage(host, true); }

 private:
  struct Tensor {
    TensorView host, device;
    void* allocated = nullptr;
    bool written = false;
  };

  TensorView Stage(const TensorView& host, bool written) {
    if (host.data == nullptr || host.bytes() == 0) return host;
    for (Tensor& tensor : tensors_) {
      if (tensor.host.data != host.data || tensor.host.bytes() != host.bytes()) continue;
      tensor.written |= written;
      return tensor.device;
    }
    const int64_t shift = (shifted_ >> tensors_.size() % 64 & 1) != 0 ? SizeOf(host.dtype) : 0;
    void* const allocated = memory_.Allocate(host.bytes() + shift);
    Tensor& tensor = tensors_.emplace_back(Tensor{host, host, allocated, written});
    tensor.device.data = static_cast<char*>(allocated) + shift;
    memory_.FromHost(host, tensor.device);
    return tensor.device;
  }

  Memory& memory_;
  const uint64_t shifted_;
  std::deque<Tensor> tensors_;
};

}  // namespace weft
