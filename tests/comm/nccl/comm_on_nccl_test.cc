// The suite of all backends over NCCL on a device. By itself: one rank. As one of several processes
// that share the device: on_one_device.sh.

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "comm/socket/rank_environment.h"
#include "comm/socket/socket_session.h"
#include "tests/comm/communicator_contract.h"
#include "tests/comm/nccl/nccl_ranks.h"
#include "tests/support/spawn_ranks.h"

namespace weft {
namespace {

// How this process finds the others; null: it is alone.
absl::StatusOr<SocketSession*> Others() {
  static auto* const session = new absl::StatusOr<std::unique_ptr<SocketSession>>(
      []() -> absl::StatusOr<std::unique_ptr<SocketSession>> {
        WEFT_ASSIGN_OR_RETURN(const std::optional<RankEnvironment> own, FindRankEnvironment());
        if (!own.has_value()) return nullptr;
        return SocketSession::Open(*own);
      }());
  WEFT_RETURN_IF_ERROR(session->status());
  return (*session)->get();
}

// OK when the suite can run here; otherwise why not.
absl::Status CanRun() {
  WEFT_RETURN_IF_ERROR(MakeCudaDevice(0).status());
  return FindNccl();
}

std::unique_ptr<Backend> OnTheDevice(std::unique_ptr<Backend> host) {
  return std::make_unique<NcclRankOnCopies>(std::move(host), /*device=*/0);
}

std::vector<ContractWorld> Worlds() {
  if (!CanRun().ok() || !Others().ok()) return {};
  SocketSession* const others = *Others();
  if (others == nullptr) {
    return {
        {"one_rank", [](const RankFn& fn) { return SpawnRanks(1, fn, OnTheDevice); }, kNcclTraits}};
  }
  return {{absl::StrCat("processes_", others->world_size()),
           [others](const RankFn& fn) { return fn(*OnTheDevice(others->MakeBackend())); },
           kNcclTraits}};
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(CommunicatorContract);
INSTANTIATE_TEST_SUITE_P(OnNccl, CommunicatorContract, testing::ValuesIn(Worlds()),
                         [](const auto& world) { return world.param.name; });

TEST(CommOnNcclTest, ThereAreADeviceAndNccl) {
  const absl::Status can = CanRun();
  if (!can.ok()) GTEST_SKIP() << can.message();
  EXPECT_TRUE(Others().ok()) << Others().status();
}

}  // namespace
}  // namespace weft
