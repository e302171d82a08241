#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "launch/control/control_options.h"

namespace grpc {
class Service;
}

namespace weft {

class Beat;
class NodeBoard;
class RpcServer;

// The gRPC server of one node, in the node's first rank: its ranks heartbeat to it, and it
// heartbeats to the coordinator on a thread of its own with the ages of its ranks. Plans and the
// first cause of the job's end come down the same way. Its life: Listen after the coordinator,
// before any rank of the node connects; Shutdown after this rank's own client has left.
class NodeService {
 public:
  // Takes a free port. kInvalidArgument for options that
  // ListenAddressOf refuses. REQUIRES: options.hosts_node_service(),
  // options.coordinator_address is set.
  static absl::StatusOr<std::unique_ptr<NodeService>> Listen(const ControlOptions& options);
  // Ends at once: the coordinator will call the node lost.
  ~NodeService();

  const std::string& address() const;  // "host:port"

  // Waits, at most a heartbeat deadline, until all ranks of the node have left, or those who can
  // listen and the coordinator know why the job failed; then takes the node's leave of the
  // coordinator and ends the service. kDeadlineExceeded naming whom it waited for in vain. Called
  // once.
  absl::Status Shutdown();

 private:
  struct Upstream;

  explicit NodeService(const ControlOptions& options);

  absl::Status Report(bool leaving);

  const ControlOptions options_;
  std::unique_ptr<NodeBoard> board_;
  std::unique_ptr<Upstream> upstream_;
  std::unique_ptr<Beat> beat_;
  std::unique_ptr<grpc::Service> service_;
  std::unique_ptr<RpcServer> server_;
};

}  // namespace weft
