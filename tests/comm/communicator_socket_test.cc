#include "absl/strings/str_cat.h"
#include "tests/comm/communicator_contract.h"
#include "tests/comm/quick_links.h"
#include "tests/comm/socket/spawn_socket_ranks.h"

namespace weft {
namespace {

ContractWorld SocketOf(int world_size, const std::string& name,
                       const DecorateBackend& decorate = nullptr) {
  return {absl::StrCat(name, "_", world_size), [world_size, decorate](const RankFn& fn) {
            return SpawnSocketRanks(world_size, fn, decorate);
          }};
}

INSTANTIATE_TEST_SUITE_P(Socket, CommunicatorContract,
                         testing::Values(SocketOf(1, "socket"), SocketOf(2, "socket"),
                                         SocketOf(3, "socket"), SocketOf(4, "socket"),
                                         SocketOf(3, "sim_over_socket", BehindQuickLinks)),
                         [](const auto& world) { return world.param.name; });

}  // namespace
}  // namespace weft
