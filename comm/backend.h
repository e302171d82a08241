#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/check.h"
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

  // Multiprocessors of a device that its collectives can be limited to, ascending; the fewer, the
  // more are left to what computes beside them. Empty: its own choice is the only one.
  virtual std::vector<int32_t> sm_limits() const { return {}; }
  // From now on all its communicators keep to this limit; 0: their own choice, as at first. Between
  // collectives, and on all ranks alike. Sums may have other bits. REQUIRES: 0 or one of
  // sm_limits().
  virtual void LimitSms(int32_t limit) { WEFT_CHECK(limit == 0, "a backend that can be limited"); }

  // Aborts every communicator this backend made. Thread-safe.
  virtual void Abort(const absl::Status& cause) = 0;
};

}  // namespace weft
