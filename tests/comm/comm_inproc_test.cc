#include "absl/strings/str_cat.h"
#include "tests/comm/communicator_contract.h"
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

std::string NameOf(const testing::TestParamInfo<ContractWorld>& world) { return world.param.name; }

INSTANTIATE_TEST_SUITE_P(Inproc, CommunicatorContract,
                         testing::Values(InprocOf(1), InprocOf(2), InprocOf(3), InprocOf(4)),
                         NameOf);
INSTANTIATE_TEST_SUITE_P(SimOverInproc, CommunicatorContract,
                         testing::Values(SimOf(1), SimOf(2), SimOf(3), SimOf(4)), NameOf);

}  // namespace
}  // namespace weft
