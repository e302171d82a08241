#include "absl/strings/str_cat.h"
#include "tests/comm/hierarchy/exchange_contract.h"
#include "tests/comm/socket/spawn_socket_ranks.h"

namespace weft {
namespace {

ContractWorld SocketOf(int world_size) {
  return {absl::StrCat("socket_", world_size),
          [world_size](const RankFn& fn) { return SpawnSocketRanks(world_size, fn); }};
}

INSTANTIATE_TEST_SUITE_P(Socket, ExchangeContract, testing::Values(SocketOf(4), SocketOf(6)),
                         [](const auto& world) { return world.param.name; });

}  // namespace
}  // namespace weft
