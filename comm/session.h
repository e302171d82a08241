#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "comm/backend.h"

namespace weft {

// Who this process is among the ranks of a job, from their meeting to their end, however they were
// started: `mpi` (under mpirun or srun) or `socket` (processes of one machine).
class Session {
 public:
  virtual ~Session() = default;

  virtual int rank() const = 0;
  virtual int world_size() const = 0;
  // nodes()[r]: the node of rank r, numbered from 0 by their first rank. Ranks share a node when
  // they can share memory.
  virtual const std::vector<int>& nodes() const = 0;
  // "mpi" or "socket".
  virtual std::string_view name() const = 0;

  // A backend over all processes. The session must outlive it and its communicators.
  // COLLECTIVE in the sense of Backend::Connect: the Connect calls of all backends of a session are
  // counted together.
  virtual std::unique_ptr<Backend> MakeBackend() = 0;

  // COLLECTIVE, last. REQUIRES: no communicator lives. After an error the process may only flush
  // and leave by _exit.
  virtual absl::Status Finalize() = 0;
};

}  // namespace weft
