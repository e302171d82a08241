#pragma once

#include <deque>

#include "tensor/device/memory.h"

namespace weft {

// The tensors of one call of a test that has them on the host, in a device's memory: copied there
// as they are named, and back at the end when they may have been written. The same host tensor is
// the same tensor there.
class DeviceCall {
 public:
  explicit DeviceCall(Memory& memory) : memory_(memory) {}
  ~DeviceCall() {
    for (const Tensor& tensor : tensors_) {
      if (tensor.written) memory_.ToHost(tensor.device, tensor.host);
      memory_.Free(tensor.device.data);
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
    bool written = false;
  };

  TensorView Stage(const TensorView& host, bool written) {
    if (host.data == nullptr || host.bytes() == 0) return host;
    for (Tensor& tensor : tensors_) {
      if (tensor.host.data != host.data || tensor.host.bytes() != host.bytes()) continue;
      tensor.written |= written;
      return tensor.device;
    }
    Tensor& tensor = tensors_.emplace_back(Tensor{host, host, written});
    tensor.device.data = memory_.Allocate(host.bytes());
    memory_.FromHost(host, tensor.device);
    return tensor.device;
  }

  Memory& memory_;
  std::deque<Tensor> tensors_;
};

}  // namespace weft
