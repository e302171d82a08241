// How the tensors of devices go to other ranks, on the emulator's.

#include "launch/device_collectives.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/status_macros.h"
#include "tests/support/cuda_emulator/emulated_device.h"
#include "tests/support/cuda_emulator/emulated_nccl.h"
#include "tests/support/spawn_ranks.h"

namespace weft {
namespace {

struct Outcome {
  absl::Status status;
  std::string description;
  bool nccl = false;
};

std::vector<Outcome> Choose(const ClusterOptions& cluster, const std::vector<int>& hosts) {
  std::vector<Outcome> outcomes(hosts.size());
  const absl::Status status =
      SpawnRanks(static_cast<int>(hosts.size()), [&](Backend& backend) -> absl::Status {
        std::vector<RankId> all;
        all.reserve(static_cast<size_t>(backend.world_size()));
        for (int32_t rank = 0; rank < backend.world_size(); ++rank) all.push_back(RankId{rank});
        WEFT_ASSIGN_OR_RETURN(const auto world, backend.Connect("world", all, absl::Seconds(60)));
        WEFT_ASSIGN_OR_RETURN(const ChosenDevice device, ChooseDevice(cluster, hosts, *world));
        Outcome& own = outcomes[static_cast<size_t>(backend.rank())];
        auto chosen = ChooseCollectives(cluster, {}, device, backend, *world, nullptr);
        own.status = chosen.status();
        if (!chosen.ok()) return absl::OkStatus();
        own.description = chosen->description;
        own.nccl = chosen->nccl != nullptr;
        if (own.nccl)
          WEFT_RETURN_IF_ERROR(chosen->nccl->Connect("ep", all, absl::Seconds(60)).status());
        return absl::OkStatus();
      });
  EXPECT_TRUE(status.ok()) << status;
  return outcomes;
}

class DeviceCollectivesTest : public testing::Test {
 protected:
  void TearDown() override {
    cuda_emulator::SetDevices(1);
    cuda_emulator::SetNccl(true);
  }
  // Every rank goes through the host for this reason, and where NCCL is a must the job does not
  // start.
  void ExpectHost(const std::vector<int>& hosts, const std::string& why) {
    cluster_.device_collectives = "auto";
    for (const Outcome& own : Choose(cluster_, hosts)) {
      EXPECT_EQ(own.description, "through the host (" + why + ")");
      EXPECT_FALSE(own.nccl);
    }
    cluster_.device_collectives = "nccl";
    for (const Outcome& own : Choose(cluster_, hosts)) {
      EXPECT_EQ(own.status,
                absl::FailedPreconditionError("cluster.device_collectives is nccl: " + why));
    }
  }
  ClusterOptions cluster_;
};

TEST_F(DeviceCollectivesTest, RanksWithDevicesOfTheirOwnUseNccl) {
  cuda_emulator::SetDevices(2);
  for (const char* const wanted : {"auto", "nccl"}) {
    cluster_.device_collectives = wanted;
    for (const Outcome& own : Choose(cluster_, {0, 0})) {
      EXPECT_EQ(own.description, "by NCCL");
      EXPECT_TRUE(own.nccl);
    }
  }
  cluster_.device_collectives = "host";
  for (const Outcome& own : Choose(cluster_, {0, 0})) {
    EXPECT_EQ(own.description, "through the host (cluster.device_collectives)");
    EXPECT_FALSE(own.nccl);
  }
}

TEST_F(DeviceCollectivesTest, OneRankWithoutNcclAndAllGoThroughTheHost) {
  cluster_.share_devices = true;
  ExpectHost({0, 1, 1},
             "rank 1: its host has more ranks than CUDA devices, and NCCL wants a device for each");
}

TEST_F(DeviceCollectivesTest, WithoutTheLibraryTheReasonIsSaid) {
  cuda_emulator::SetNccl(false);
  ExpectHost({0}, "no NCCL: cannot open its library: the emulator has none");
}

TEST_F(DeviceCollectivesTest, EmulatedLinksAreTheHosts) {
  cluster_.emulate = true;
  ExpectHost({0}, "cluster.emulate delays what goes through the host alone");
}

TEST_F(DeviceCollectivesTest, OnTheCpuThereIsNothingToChoose) {
  cluster_.device = "cpu";
  const Outcome own = Choose(cluster_, {0}).front();
  EXPECT_TRUE(own.status.ok()) << own.status;
  EXPECT_EQ(own.description, "");
  cluster_.device_collectives = "nccl";
  EXPECT_EQ(Choose(cluster_, {0}).front().status,
            absl::FailedPreconditionError("cluster.device_collectives is nccl: its "
                                          "tensors are not on a CUDA device"));
}

}  // namespace
}  // namespace weft
