#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/ids.h"
#include "comm/communicator.h"

namespace weft {

// A way to talk to the other ranks: `mpi` and `socket` (processes) or `inproc` (threads of one
// process). One Backend a rank.
class Backend {
 public:
  virtual ~Backend() = default;

  virtual int rank() const = 0;
  virtual int world_size() const = 0;

  // A communicator over `ranks` (global ranks, ascending, this rank among them).
  // COLLECTIVE: over the WHOLE world: every rank calls Connect equally often and in the same order,
  // each with the group of that call it belongs to; the groups of one call partition the world.
  // `name` ("ep", "world", ...) shows in errors. Each call makes an independent communicator: two
  // of them, used from two threads, never mix or block each other. A collective that waits longer
  // than `deadline` fails with kDeadlineExceeded.
  virtual absl::StatusOr<std::unique_ptr<Communicator>> Connect(const std::string& name,
                                                                const std::vector<RankId>& ranks,
                                                                absl::Duration deadline) = 0;
  // Aborts every communicator this backend made. Thread-safe.
  virtual void Abort(const absl::Status& cause) = 0;
};

}  // namespace weft
