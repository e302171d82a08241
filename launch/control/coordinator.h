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

class JobBoard;
class RpcServer;

// Rank 0's gRPC server: answers people and hears the node services. Its life: Listen on rank 0
// before any node service starts; the address goes to all ranks and into service.json; Shutdown
// after rank 0's own client and node service have left. All it knows is in its JobBoard, which rank
// 0's client uses directly.
class Coordinator {
 public:
  // kInvalidArgument for options that ListenAddressOf refuses; kUnavailable when the port is
  // taken. When the options name a run directory, writes service.json there and removes the outcome
  // of an earlier run.
  static absl::StatusOr<std::unique_ptr<Coordinator>> Listen(const ControlOptions& options);
  // Ends at once, telling nobody; Shutdown is the polite way.
  ~Coordinator();

  const std::string& address() const;    // "host:port"
  JobBoard& board() { return *board_; }  // lives as long as the coordinator

  // Waits, at most a heartbeat deadline, until every node has left or knows why the job failed;
  // then ends the service and removes service.json. kDeadlineExceeded, naming the nodes, when some
  // had not. Called once.
  absl::Status Shutdown();

 private:
  explicit Coordinator(const ControlOptions& options);

  const ControlOptions options_;
  std::unique_ptr<JobBoard> board_;
  std::unique_ptr<grpc::Service> service_;
  std::unique_ptr<RpcServer> server_;
};

}  // namespace weft
