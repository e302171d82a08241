// The suite of all backends over an emulated NCCL: once with tensors in the memory of each rank's
// device, once with tensors on the host.

#include "absl/strings/str_cat.h"
#include "tests/comm/communicator_contract.h"
#include "tests/comm/nccl/nccl_ranks.h"
#include "tests/support/cuda_emulator/emulated_device.h"
#include "tests/support/spawn_ranks.h"

namespace weft {
namespace {

template <typename Rank>
ContractWorld WorldOf(int world_size) {
  return {absl::StrCat("ranks_", world_size),
          [world_size](const RankFn& fn) {
            cuda_emulator::SetDevices(world_size);
            return SpawnRanks(world_size, fn, [](std::unique_ptr<Backend> host) {
              return std::unique_ptr<Backend>(std::make_unique<Rank>(std::move(host)));
            });
          },
          kNcclTraits};
}

std::string NameOf(const testing::TestParamInfo<ContractWorld>& world) { return world.param.name; }

INSTANTIATE_TEST_SUITE_P(OnDevice, CommunicatorContract,
                         testing::Values(WorldOf<NcclRankOnCopies>(1), WorldOf<NcclRankOnCopies>(2),
                                         WorldOf<NcclRankOnCopies>(4),
                                         WorldOf<NcclRankOnCopies>(8)),
                         NameOf);
INSTANTIATE_TEST_SUITE_P(OnHost, CommunicatorContract,
                         testing::Values(WorldOf<NcclRank>(1), WorldOf<NcclRank>(3)), NameOf);

}  // namespace
}  // namespace weft
