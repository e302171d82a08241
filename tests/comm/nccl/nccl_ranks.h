#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/check.h"
#include "comm/nccl/make_nccl_backend.h"
#include "tensor/kernels/compute_device.h"
#include "tests/comm/on_device_backend.h"

namespace weft {

// A rank on NCCL: what its communicators get is already in its device's memory. Ranks of one
// process have devices of their own.
class NcclRank final : public Backend {
 public:
  explicit NcclRank(std::unique_ptr<Backend> host, const NcclOptions& options = {},
                    std::optional<int> device = {})
      : host_(std::move(host)) {
    auto opened = MakeCudaDevice(device.value_or(host_->rank()));
    WEFT_CHECK(opened.ok(), opened.status().ToString());
    device_ = *std::move(opened);
    kernels_ = device_->MakeKernels();
    auto made = MakeNcclBackend(*host_, *device_, options);
    WEFT_CHECK(made.ok(), made.status().ToString());
    nccl_ = *std::move(made);
  }

  int rank() const override { return host_->rank(); }
  int world_size() const override { return host_->world_size(); }
  absl::StatusOr<std::unique_ptr<Communicator>> Connect(const std::string& name,
                                                        const std::vector<RankId>& ranks,
                                                        absl::Duration deadline) override {
    return nccl_->Connect(name, ranks, deadline);
  }
  std::vector<int32_t> sm_limits() const override { return nccl_->sm_limits(); }
  void LimitSms(int32_t limit) override { nccl_->LimitSms(limit); }
  void Abort(const absl::Status& cause) override { nccl_->Abort(cause); }

  ComputeDevice& device() { return *device_; }
  Memory& memory() { return kernels_->memory(); }

 private:
  std::unique_ptr<Backend> host_;
  std::unique_ptr<ComputeDevice> device_;
  std::unique_ptr<Kernels> kernels_;
  std::unique_ptr<Backend> nccl_;
};

// The same, for tests that have their tensors on the host.
class NcclRankOnCopies final : public Backend {
 public:
  explicit NcclRankOnCopies(std::unique_ptr<Backend> host, std::optional<int> device = {})
      : rank_(std::move(host), {}, device), on_device_(rank_, rank_.memory()) {}

  int rank() const override { return rank_.rank(); }
  int world_size() const override { return rank_.world_size(); }
  absl::StatusOr<std::unique_ptr<Communicator>> Connect(const std::string& name,
                                                        const std::vector<RankId>& ranks,
                                                        absl::Duration deadline) override {
    return on_device_.Connect(name, ranks, deadline);
  }
  void Abort(const absl::Status& cause) override { rank_.Abort(cause); }

 private:
  NcclRank rank_;
  OnDeviceBackend on_device_;
};

inline constexpr CommunicatorTraits kNcclTraits = {.completion = Completion::kStreamOrdered,
                                                   .rank_ordered_sums = false,
                                                   .checks_sizes = false,
                                                   .max_keeps_nan = false};

}  // namespace weft
