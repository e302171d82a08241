#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace weft {

// Runs `world_size` copies of this program with `arguments`, each a rank that
// SocketSession::Open(**FindRankEnvironment()) makes: how a benchmark or a test gets ranks that are
// processes. Blocks until all have ended. When one fails, or at the deadline, the others are
// killed: kUnavailable says who failed first and how, kDeadlineExceeded who had not ended.
absl::Status SpawnProcesses(int32_t world_size, const std::vector<std::string>& arguments,
                            absl::Duration deadline);

}  // namespace weft
