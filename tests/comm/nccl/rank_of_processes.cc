#include "tests/comm/nccl/rank_of_processes.h"

#include <cstdlib>

#include "absl/strings/numbers.h"

namespace weft {

std::optional<RankOfProcesses> FindRankOfProcesses() {
  const char* const rank = std::getenv("WEFT_RANK");
  const char* const world_size = std::getenv("WEFT_WORLD_SIZE");
  const char* const rendezvous = std::getenv("WEFT_RENDEZVOUS");
  RankOfProcesses own;
  if (rank == nullptr || world_size == nullptr || rendezvous == nullptr) return std::nullopt;
  if (!absl::SimpleAtoi(rank, &own.rank) || !absl::SimpleAtoi(world_size, &own.world_size)) {
    return std::nullopt;
  }
  own.rendezvous = rendezvous;
  return own;
}

absl::StatusOr<std::unique_ptr<Backend>> MakeHostBackend(const RankOfProcesses& /*own*/) {
  return absl::UnavailableError(
      "several processes: there is no host backend yet that connects them without MPI");
}

}  // namespace weft
