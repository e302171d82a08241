// Which device ranks get, on the emulator's.

#include "launch/device.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/status_macros.h"
#include "launch/device_memory.h"
#include "tests/support/cuda_emulator/emulated_device.h"
#include "tests/support/spawn_ranks.h"

namespace weft {
namespace {

struct Outcome {
  absl::Status status;
  std::string device, why_cpu;
};

std::vector<Outcome> Choose(const ClusterOptions& cluster, const std::vector<int>& hosts) {
  std::vector<Outcome> outcomes(hosts.size());
  const absl::Status status =
      SpawnRanks(static_cast<int>(hosts.size()), [&](Backend& backend) -> absl::Status {
        std::vector<RankId> all;
        all.reserve(static_cast<size_t>(backend.world_size()));
        for (int32_t rank = 0; rank < backend.world_size(); ++rank) all.push_back(RankId{rank});
        WEFT_ASSIGN_OR_RETURN(const auto world, backend.Connect("world", all, absl::Seconds(60)));
        Outcome& own = outcomes[static_cast<size_t>(backend.rank())];
        const auto chosen = ChooseDevice(cluster, hosts, *world);
        own.status = chosen.status();
        if (!chosen.ok()) return absl::OkStatus();
        own.device = chosen->device->description();
        own.why_cpu = chosen->why_cpu;
        return absl::OkStatus();
      });
  EXPECT_TRUE(status.ok()) << status;
  return outcomes;
}

class DeviceTest : public testing::Test {
 protected:
  void TearDown() override { cuda_emulator::SetDevices(1); }
  ClusterOptions cluster_;
};

TEST_F(DeviceTest, EveryRankGetsADeviceOfItsHost) {
  cuda_emulator::SetDevices(2);
  for (const Outcome& own : Choose(cluster_, {0, 0, 1, 1})) {
    EXPECT_TRUE(own.device.starts_with("emulator, 4 SMs, 1 GiB; ")) << own.device;
    EXPECT_EQ(own.why_cpu, "");
  }
  cluster_.device = "cpu";
  for (const Outcome& own : Choose(cluster_, {0, 0})) {
    EXPECT_EQ(own.device, "CPU");
    EXPECT_EQ(own.why_cpu, "");
  }
}

// One rank without a device, and all compute on the CPU, or none does.
TEST_F(DeviceTest, RanksShareADeviceOnlyWhenTold) {
  const std::string why =
      "rank 1: its host has 2 ranks and 1 CUDA device (cluster.share_devices lets several ranks "
      "use one)";
  for (const Outcome& own : Choose(cluster_, {0, 1, 1})) {
    EXPECT_EQ(own.device, "CPU");
    EXPECT_EQ(own.why_cpu, why);
  }
  cluster_.device = "cuda";
  for (const Outcome& own : Choose(cluster_, {0, 1, 1})) {
    EXPECT_EQ(own.status, absl::FailedPreconditionError("cluster.device is cuda: " + why));
  }
  cluster_.share_devices = true;
  for (const Outcome& own : Choose(cluster_, {0, 1, 1})) {
    EXPECT_TRUE(own.device.starts_with("emulator, 4 SMs, 1 GiB; ")) << own.device;
  }
}

TEST_F(DeviceTest, WithoutADriverTheReasonIsSaid) {
  cuda_emulator::SetDevices(0);
  const Outcome own = Choose(cluster_, {0}).front();
  EXPECT_EQ(own.device, "CPU");
  EXPECT_EQ(own.why_cpu, "no CUDA device: no NVIDIA driver is loaded");
}

TEST_F(DeviceTest, EmulatedProcessorsAreTheCpus) {
  cluster_.compute_share = 0.5;
  EXPECT_EQ(Choose(cluster_, {0}).front().device, "CPU");
  cluster_.device = "cuda";
  EXPECT_EQ(Choose(cluster_, {0}).front().status,
            absl::FailedPreconditionError(
                "cluster.device is cuda: cluster.compute_share emulates processors, not "
                "CUDA devices"));
}

// The emulator's device has 1 GiB.
TEST_F(DeviceTest, WhatDoesNotFitIsRefusedBeforeItIsAllocated) {
  MemoryEstimate estimate;
  estimate.parameters = int64_t{400} << 20;
  const auto check = [&](const std::vector<int>& hosts) {
    std::vector<absl::Status> statuses(hosts.size());
    const absl::Status status =
        SpawnRanks(static_cast<int>(hosts.size()), [&](Backend& backend) -> absl::Status {
          std::vector<RankId> all;
          all.reserve(hosts.size());
          for (int32_t r = 0; r < backend.world_size(); ++r) all.push_back(RankId{r});
          WEFT_ASSIGN_OR_RETURN(const auto world, backend.Connect("world", all, absl::Seconds(60)));
          WEFT_ASSIGN_OR_RETURN(const auto device, MakeCudaDevice(0));
          statuses[static_cast<size_t>(backend.rank())] =
              CheckDeviceMemory(estimate, DType::kBF16, *device, hosts, *world);
          return absl::OkStatus();
        });
    EXPECT_TRUE(status.ok()) << status;
    return statuses;
  };
  for (const absl::Status& status : check({0, 1})) EXPECT_TRUE(status.ok()) << status;
  // Three ranks of host 0 share its device: all hear of it.
  for (const absl::Status& status : check({0, 0, 0, 1})) {
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_NE(status.message().find(
                  "rank 0: training takes about 0.39 GiB (parameters 0.39, gradients 0.00, "
                  "activations 0.00, exchange 0.00), beside 0.00 GiB for kernels, and its CUDA "
                  "device has 1.00 GiB free for 3 "
                  "ranks; more micro_batches, zero_stage: 1, bf16 or more ranks take "
                  "less"),
              std::string::npos)
        << status;
  }
}

}  // namespace
}  // namespace weft
