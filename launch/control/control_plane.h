#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "launch/control/control_client.h"
#include "launch/control/control_options.h"
#include "launch/control/coordinator.h"
#include "launch/control/node_service.h"

namespace weft {

// COLLECTIVE over all ranks: the texts of all ranks, by rank. What bootstrap gives (over MPI),
// tests give by threads.
using GatherTexts =
    std::function<absl::StatusOr<std::vector<std::string>>(const std::string& mine)>;

// Everything of the control plane that lives in one rank, started and ended in the right order: on
// rank 0 the coordinator, on the first rank of each node its service, on every rank a client.
class ControlPlane {
 public:
  // COLLECTIVE over all ranks. Draws the job's id on rank 0, starts the servers and passes their
  // addresses on; job_id, coordinator_address and node_address of `options` are overwritten. When
  // any rank's server does not start, every rank gets an error that names it.
  static absl::StatusOr<std::unique_ptr<ControlPlane>> Connect(
      ControlOptions options, const GatherTexts& gather, ControlClient::AbortCallback on_abort);

  // Call Leave first, unless the others are to think this rank lost.
  ~ControlPlane() = default;

  ControlClient& client() { return *client_; }
  const ControlOptions& options() const { return options_; }  // as completed by Connect

  // Ends this rank's part, clean or after a failure: the client leaves, then the servers wait until
  // everyone they serve has left or knows the first cause. Blocks at most about three heartbeat
  // deadlines. The first error is returned, the rest is done nevertheless. Called once.
  absl::Status Leave();

 private:
  explicit ControlPlane(const ControlOptions& options) : options_(options) {}

  ControlOptions options_;
  std::unique_ptr<Coordinator> coordinator_;
  std::unique_ptr<NodeService> node_service_;
  std::unique_ptr<ControlClient> client_;
};

}  // namespace weft
