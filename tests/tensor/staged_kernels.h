#pragma once

#include <memory>
#include <optional>

#include "tensor/kernels/translated_kernels.h"
#include "tests/support/device_call.h"

namespace weft {

// Kernels of a device for tests whose tensors are on the host: what a call names is copied to the
// device, and back when it may have been written.
class StagedKernels final : public TranslatedKernels {
 public:
  explicit StagedKernels(std::unique_ptr<Kernels> inner) : TranslatedKernels(std::move(inner)) {}

  Memory& memory() override { return HostMemory(); }

 private:
  DeviceCall& call() {
    if (!call_.has_value()) call_.emplace(inner().memory());
    return *call_;
  }
  ConstTensorView Read(const ConstTensorView& view, Type /*type*/) override {
    return call().In(view);
  }
  TensorView Written(const TensorView& view, Type /*type*/, Before /*before*/) override {
    return call().Out(view);
  }
  void End() override { call_.reset(); }

  std::optional<DeviceCall> call_;
};

}  // namespace weft
