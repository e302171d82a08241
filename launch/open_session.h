#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "comm/session.h"

namespace weft {

// The session that this process was started for: over sockets where the environment says which rank
// it is (comm/socket/rank_environment.h), and MPI is not touched then; over MPI otherwise.
absl::StatusOr<std::unique_ptr<Session>> OpenSession(int* argc, char*** argv);

}  // namespace weft
