#include "launch/open_session.h"

#include <optional>
#include <utility>

#include "base/status_macros.h"
#include "comm/mpi/mpi_session.h"
#include "comm/socket/rank_environment.h"
#include "comm/socket/socket_session.h"

namespace weft {

absl::StatusOr<std::unique_ptr<Session>> OpenSession(int* argc, char*** argv) {
  WEFT_ASSIGN_OR_RETURN(const std::optional<RankEnvironment> environment, FindRankEnvironment());
  if (environment.has_value()) return SocketSession::Open(*environment);
  return MpiSession::Init(argc, argv);
}

}  // namespace weft
