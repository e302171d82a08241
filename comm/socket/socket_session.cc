#include "comm/socket/socket_session.h"

#include <utility>

#include "base/status_macros.h"
#include "comm/socket/socket_backend.h"

namespace weft {

absl::StatusOr<std::unique_ptr<SocketSession>> SocketSession::Open(
    const RankEnvironment& environment) {
  WEFT_ASSIGN_OR_RETURN(std::unique_ptr<Rendezvous> rendezvous, Rendezvous::Open(environment));
  return std::unique_ptr<SocketSession>(new SocketSession(std::move(rendezvous)));
}

SocketSession::SocketSession(std::shared_ptr<Rendezvous> rendezvous)
    : rendezvous_(std::move(rendezvous)),
      nodes_(static_cast<size_t>(rendezvous_->world_size()), 0) {}

std::unique_ptr<Backend> SocketSession::MakeBackend() {
  return std::make_unique<SocketBackend>(rendezvous_);
}

}  // namespace weft
