#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace weft {

// What one rank must know to take part in the control plane. Equal on all ranks except `rank`.
struct ControlOptions {
  int32_t rank = 0;
  int32_t world_size = 1;
  int32_t ranks_per_node =
      1;  // node = rank / ranks_per_node; a node's first rank hosts its node service

  uint64_t job_id = 0;  // drawn once a job, never 0 in one; a message of another job is refused
  std::string coordinator_address;  // "host:port"
  std::string node_address;         // "host:port" of this rank's node service

  std::string bind_address = "127.0.0.1";  // or a network: listen_address.h
  int32_t port = 0;  // the coordinator's; 0: any free one. Node services always take a free one.
  bool insecure_network = false;  // allows a bind_address other than loopback, without encryption
  absl::Duration heartbeat = absl::Milliseconds(500);
  absl::Duration deadline = absl::Seconds(5);        // a member silent for longer is lost
  absl::Duration join_deadline = absl::Seconds(60);  // the same before its first heartbeat

  std::string run_directory;  // where service.json and failure.json go; empty: nowhere

  int32_t num_nodes() const { return (world_size + ranks_per_node - 1) / ranks_per_node; }
  int32_t node() const { return rank / ranks_per_node; }
  int32_t first_rank_of(int32_t any_node) const { return any_node * ranks_per_node; }
  int32_t num_ranks_of(int32_t any_node) const;
  bool hosts_node_service() const { return rank % ranks_per_node == 0; }

  // How long one call may take. A quarter of the deadline: several calls must fail before anyone is
  // called lost.
  absl::Duration call_timeout() const { return deadline / 4; }
};

// kInvalidArgument, in one sentence, for sizes that do not fit together, a heartbeat longer than a
// quarter of the deadline, a port out of range, or a bind address that would leave the machine
// unprotected.
absl::Status ValidateControlOptions(const ControlOptions& options);

// What a server of this process listens on, and what it tells the other ranks. kInvalidArgument for
// options that ValidateControlOptions refuses, and when this host has no such address.
absl::StatusOr<std::string> ListenAddressOf(const ControlOptions& options);

}  // namespace weft
