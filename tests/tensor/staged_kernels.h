#pragma once

#include <memory>
#include <optional>

#include "base/random.h"
#include "tensor/kernels/translated_kernels.h"
#include "tests/support/device_call.h"

namespace weft {

// Kernels of a device for tests whose tensors are on the host: what a call names is copied to the
// device, and back when it may have been written. In every other call, at random, some tensors
// begin an element behind an aligned address: what kernels do where wide accesses cannot reach is
// tested wherever anything is, and has the same bits.
class StagedKernels final : public TranslatedKernels {
 public:
  explicit StagedKernels(std::unique_ptr<Kernels> inner) : TranslatedKernels(std::move(inner)) {}

  Memory& memory() override { return HostMemory(); }

 private:
  DeviceCall& call() {
    if (!call_.has_value()) {
      const uint64_t bits = shifts_.Bits(calls_++);
      call_.emplace(inner().memory(), bits >> 63 != 0 ? bits : 0);
    }
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
  const CounterRng shifts_{1, "staged_kernels"};
  uint64_t calls_ = 0;
};

}  // namespace weft
