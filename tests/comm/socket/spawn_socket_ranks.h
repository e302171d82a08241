#pragma once

#include "absl/status/status.h"
#include "tests/comm/communicator_contract.h"
#include "tests/support/spawn_ranks.h"

namespace weft {

// Runs fn on `world_size` threads, each a rank with a session of its own over sockets, which do not
// care. A rank that leaves early closes its connections, so that nobody waits for it. Returns the
// first error, in ascending rank, that is more than another rank's leaving.
absl::Status SpawnSocketRanks(int world_size, const RankFn& fn,
                              const DecorateBackend& decorate = nullptr);

}  // namespace weft
