#pragma once

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "comm/backend.h"

namespace weft {

// Which rank this process is, where a test runs as several (on_one_device.sh starts them).
struct RankOfProcesses {
  int rank = 0;
  int world_size = 1;
  std::string rendezvous;  // a directory of theirs alone
};

// By WEFT_RANK, WEFT_WORLD_SIZE and WEFT_RENDEZVOUS; nullopt when they are not set.
std::optional<RankOfProcesses> FindRankOfProcesses();

// A backend of the host's memory among these processes, each time a fresh one. COLLECTIVE: all make
// theirs equally often. kUnavailable, in a sentence: why there is none.
absl::StatusOr<std::unique_ptr<Backend>> MakeHostBackend(const RankOfProcesses& own);

}  // namespace weft
