#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "comm/backend.h"

// MPI in this process: who we are, from Init to Finalize. After Init one thread of the session
// makes every MPI call (comm/mpi/mpi_progress.h); MPI therefore never sees two threads at once, and
// no other code may call it.

namespace weft {

class MpiProgress;

class MpiSession {
 public:
  // COLLECTIVE over all processes that mpirun (or srun) started; once a process, by its main
  // thread. Blocks. kFailedPrecondition when MPI cannot serve calls from a thread other than the
  // main one.
  static absl::StatusOr<std::unique_ptr<MpiSession>> Init(int* argc, char*** argv);
  // Stops the session's thread. Without Finalize the process may only leave by _exit.
  ~MpiSession();

  int rank() const { return rank_; }
  int world_size() const { return static_cast<int>(nodes_.size()); }
  const std::string& host_name() const { return host_name_; }
  // nodes()[r]: the node of rank r, numbered from 0 by their first rank. Ranks share a node when
  // they can share memory.
  const std::vector<int>& nodes() const { return nodes_; }

  // A backend over all processes. The session must outlive it and its communicators.
  // COLLECTIVE in the sense of Backend::Connect: the Connect calls of all backends of a session are
  // counted together.
  // Messages longer than `max_message_bytes` travel in pieces: MPI counts bytes with an int.
  std::unique_ptr<Backend> MakeBackend(int64_t max_message_bytes = int64_t{1} << 30);

  // COLLECTIVE, last. REQUIRES: no communicator lives. kFailedPrecondition after a failed operation
  // whose bytes are still in flight: MPI may not be called any more; flush and _exit.
  absl::Status Finalize();

 private:
  MpiSession();

  int rank_ = 0;
  std::string host_name_;
  std::vector<int> nodes_;
  std::unique_ptr<MpiProgress> progress_;
  int next_tag_ = 0;
};

}  // namespace weft
