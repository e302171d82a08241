#include "absl/strings/str_cat.h"
#include "tests/comm/hierarchy/exchange_contract.h"
#include "tests/comm/quick_links.h"
#include "tests/support/spawn_ranks.h"

namespace weft {
namespace {

ContractWorld InprocOf(int world_size) {
  return {absl::StrCat("inproc_", world_size),
          [world_size](const RankFn& fn) { return SpawnRanks(world_size, fn); }};
}

ContractWorld SimOf(int world_size) {
  return {absl::StrCat("sim_", world_size),
          [world_size](const RankFn& fn) { return SpawnRanks(world_size, fn, BehindQuickLinks); }};
}

// 1, 4, 6, 8 and 9 ranks: one rank, flat groups, two nodes, nodes with one before and one behind.
INSTANTIATE_TEST_SUITE_P(Inproc, ExchangeContract,
                         testing::Values(InprocOf(1), InprocOf(4), InprocOf(6), InprocOf(8),
                                         InprocOf(9), SimOf(4)),
                         [](const auto& world) { return world.param.name; });

}  // namespace
}  // namespace weft
