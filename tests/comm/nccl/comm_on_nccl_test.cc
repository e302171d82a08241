// The suite of all backends over NCCL on a device. By itself: one rank. As one of several processes
// that share the device: on_one_device.sh.

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "tests/comm/communicator_contract.h"
#include "tests/comm/nccl/nccl_ranks.h"
#include "tests/comm/nccl/rank_of_processes.h"
#include "tests/support/spawn_ranks.h"

namespace weft {
namespace {

// OK when the suite can run here; otherwise why not.
absl::Status CanRun() {
  WEFT_RETURN_IF_ERROR(MakeCudaDevice(0).status());
  WEFT_RETURN_IF_ERROR(FindNccl());
  const std::optional<RankOfProcesses> own = FindRankOfProcesses();
  return own.has_value() ? MakeHostBackend(*own).status() : absl::OkStatus();
}

std::unique_ptr<Backend> OnTheDevice(std::unique_ptr<Backend> host) {
  return std::make_unique<NcclRankOnCopies>(std::move(host), /*device=*/0);
}

ContractWorld World() {
  const std::optional<RankOfProcesses> own = FindRankOfProcesses();
  if (!own.has_value()) {
    return {"one_rank", [](const RankFn& fn) { return SpawnRanks(1, fn, OnTheDevice); },
            kNcclTraits};
  }
  return {absl::StrCat("processes_", own->world_size),
          [own](const RankFn& fn) -> absl::Status {
            WEFT_ASSIGN_OR_RETURN(auto host, MakeHostBackend(*own));
            return fn(*OnTheDevice(std::move(host)));
          },
          kNcclTraits};
}

std::vector<ContractWorld> Worlds() {
  if (!CanRun().ok()) return {};
  return {World()};
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(CommunicatorContract);
INSTANTIATE_TEST_SUITE_P(OnNccl, CommunicatorContract, testing::ValuesIn(Worlds()),
                         [](const auto& world) { return world.param.name; });

TEST(CommOnNcclTest, ThereAreADeviceAndNccl) {
  const absl::Status can = CanRun();
  if (!can.ok()) GTEST_SKIP() << can.message();
}

}  // namespace
}  // namespace weft
