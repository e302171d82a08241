#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "comm/session.h"
#include "comm/socket/rank_environment.h"
#include "comm/socket/rendezvous.h"

namespace weft {

// A rank among processes of one machine that nobody but their environment introduces
// (comm/socket/rank_environment.h). They all share one node.
class SocketSession final : public Session {
 public:
  // Waits for nobody: whoever is missing is named by the first Connect. Errors of Rendezvous::Open.
  static absl::StatusOr<std::unique_ptr<SocketSession>> Open(const RankEnvironment& environment);

  int rank() const override { return rendezvous_->rank(); }
  int world_size() const override { return rendezvous_->world_size(); }
  const std::vector<int>& nodes() const override { return nodes_; }
  std::string_view name() const override { return "socket"; }
  std::unique_ptr<Backend> MakeBackend() override;
  // What a rank has sent arrives though it has left: nobody waits for the others.
  absl::Status Finalize() override { return absl::OkStatus(); }

 private:
  explicit SocketSession(std::shared_ptr<Rendezvous> rendezvous);

  const std::shared_ptr<Rendezvous> rendezvous_;
  const std::vector<int> nodes_;
};

}  // namespace weft
