#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>

#include "tensor/kernels/compute_device.h"
#include "tensor/kernels/decorated_kernels.h"

namespace weft {

// The CPU as a device with two ways of computing products of groups, which are the same but in
// name. Remembers which were asked for.
class TwoWayDevice : public ComputeDevice {
 public:
  std::string description() const override { return "CPU, two ways"; }
  std::optional<int64_t> free_bytes() override { return cpu_->free_bytes(); }
  int64_t scratch_bytes(DType dtype) const override { return cpu_->scratch_bytes(dtype); }
  Memory& staging_memory() override { return cpu_->staging_memory(); }
  std::unique_ptr<Kernels> MakeKernels() override {
    return std::make_unique<TwoWayKernels>(*this, cpu_->MakeKernels());
  }
  std::unique_ptr<Stream> MakeStream(const StreamOptions& options) override {
    return cpu_->MakeStream(options);
  }

  // Ways that kernels were told to use since the last call.
  std::set<GroupedMethod> TakeUsed() {
    const std::lock_guard lock(mutex_);
    return std::exchange(used_, {});
  }

 private:
  class TwoWayKernels final : public DecoratedKernels {
   public:
    TwoWayKernels(TwoWayDevice& device, std::unique_ptr<Kernels> cpu)
        : DecoratedKernels(*cpu), device_(device), cpu_(std::move(cpu)) {}

    std::span<const GroupedMethod> grouped_methods() const override {
      static constexpr GroupedMethod kMethods[] = {GroupedMethod::kOneLaunch,
                                                   GroupedMethod::kOneByOne};
      return kMethods;
    }
    GroupedMethod grouped_method() const override { return method_; }
    void UseGroupedMethod(GroupedMethod method) override {
      method_ = method;
      const std::lock_guard lock(device_.mutex_);
      device_.used_.insert(method);
    }

   private:
    void Around(std::string_view /*name*/, absl::FunctionRef<void()> call) override { call(); }

    TwoWayDevice& device_;
    const std::unique_ptr<Kernels> cpu_;
    GroupedMethod method_ = GroupedMethod::kOneLaunch;
  };

  const std::unique_ptr<ComputeDevice> cpu_ = MakeCpuDevice();
  std::mutex mutex_;
  std::set<GroupedMethod> used_;
};

}  // namespace weft
