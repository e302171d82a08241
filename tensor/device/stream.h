#pragma once

#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tensor/device/event.h"

namespace weft {

// An in-order queue of work. Work issued to one stream runs in order; streams run beside each
// other.
//
// A Work is a host function that does the work or issues it. On a CPU stream it runs on the
// stream's thread when all work before it has ended, and the work is done when it returns. On a
// device stream it runs at once on the calling thread and may only enqueue device work. Code that
// obeys both readings runs on every device: it must not block on anything but the operation it
// performs.
//
// The first Work that returns an error poisons the stream: later Work is skipped, Synchronize
// returns that error. Enqueue, Record, Wait and Synchronize are called from one host thread.
class Stream {
 public:
  using Work = std::function<absl::Status()>;

  virtual ~Stream() = default;
  virtual absl::Status Enqueue(Work work) = 0;
  virtual absl::StatusOr<std::shared_ptr<Event>> Record() = 0;
  // Later work of this stream starts after the event; the host is never blocked.
  virtual absl::Status Wait(std::shared_ptr<Event> event) = 0;
  // Blocks the host until the stream is empty; returns the first error and forgets it. The executor
  // alone calls it.
  virtual absl::Status Synchronize() = 0;
};

}  // namespace weft
