#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <utility>
#include <vector>

#include "tensor/device/buffer.h"
#include "tensor/kernels/compute_device.h"

namespace weft {

// A CUDA device, its kernels, and buffers of their memory.
class CudaChoiceFixture : public testing::Test {
 protected:
  // Anew, without what was there.
  void Open(const CudaOptions& options) {
    kernels_.reset();
    buffers_.clear();
    auto made = MakeCudaDevice(0, options);
    ASSERT_TRUE(made.ok()) << made.status();
    device_ = *std::move(made);
    kernels_ = device_->MakeKernels();
  }

  std::unique_ptr<ComputeDevice> device_;
  std::unique_ptr<Kernels> kernels_;
  std::vector<std::unique_ptr<Buffer>> buffers_;
};

}  // namespace weft
