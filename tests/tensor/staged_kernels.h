#pragma once

#include <memory>
#include <optional>

#include "base/random.h"
#include "tensor/kernels/translated_kernels.h"
#include "tests/support/device_call.h"

namespace weft {

// Kernels of a device for tests whose tensors are on the host: what a call names is copied to the
// device, and back when it may have been written. With kAny, in every other call, at random, some
// tensors begin an element behind an aligned address: what kernels do where wide accesses cannot
// reach is tested wherever anything is, and has the same bits. Not so products by libraries, which
// take aligned operands alone.
class StagedKernels final : public TranslatedKernels {
 public:
  enum class Addresses : uint8_t { kAny, kAligned };
  explicit StagedKernels(std::unique_ptr<Kernels> inner, Addresses addresses = Addresses::kAny)
      : TranslatedKernels(std::move(inner)), addresses_(addresses) {}

  Memory& memory() override { return HostMemory(); }

 private:
  DeviceCall& call() {
    if (!call_.has_value()) {
      const uint64_t bits = shifts_.Bits(calls_++);
      const bool shifted = addresses_ == Addresses::kAny && bits >> 63 != 0;
      call_.emplace(inner().memory(), shifted ? bits : 0);
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

  const Addresses addresses_;
  std::optional<DeviceCall> call_;
  const CounterRng shifts_{1, "staged_kernels"};
  uint64_t calls_ = 0;
};

}  // namespace weft
