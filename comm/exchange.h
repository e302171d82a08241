#pragma once

#include <cstdint>
#include <span>

#include "absl/status/status.h"

// The one thing a host backend has to be able to do for one group: hand bytes to some members and
// take bytes from some. Every collective is one or two exchanges plus a local sum
// (comm/direct_communicator.h), so that results, bits and error texts are the same on every
// backend.

namespace weft {

struct Outgoing {
  int peer;  // place in the group, never this rank's own
  const void* data;
  int64_t bytes;
};

struct Incoming {
  int peer;
  void* data;
  int64_t bytes;
};

class Exchange {
 public:
  virtual ~Exchange() = default;

  // Sends all of `out` and receives all of `in`, at most one entry a peer in each; zero bytes are
  // sent like any other number. Messages between two members arrive in the order of the calls.
  // Blocks until every byte of `in` has arrived and every buffer of `out` may be written again. One
  // thread at a time. kDeadlineExceeded names the members that have not arrived, kAborted carries
  // the cause of Abort, kInternal: a peer sends another number of bytes. The first error stays:
  // later calls return it at once.
  virtual absl::Status Run(std::span<const Outgoing> out, std::span<const Incoming> in) = 0;
  // OK until the first error. Thread-safe.
  virtual absl::Status Health() const = 0;
  // Ends a Run in progress on this rank, and all later ones, with AbortedBy(cause). Thread-safe,
  // idempotent.
  virtual void Abort(const absl::Status& cause) = 0;
};

}  // namespace weft
