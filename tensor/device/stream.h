#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "tensor/device/event.h"

namespace weft {

// An in-order queue of work. Work issued to one stream runs in order; streams run beside each
// other.
//
// A Work is a host function that does the work or issues it, on a thread of the stream's own, in
// order. On a CPU stream the work is done when it returns. On a device's stream it may still run
// then: results are there for later Work of the stream, for streams that wait for an event recorded
// behind it, and for who asks Memory::ToHost.
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
  // From inside a Work of this stream: *nanos becomes the time, by `clock`, at which all that was
  // issued before has ended; at once on a CPU stream, when Synchronize returns on a device's.
  virtual void Stamp(const Clock& clock, int64_t* nanos) = 0;
  // From inside a Work of this stream, in pairs: what is issued between them has this name in the
  // device's own profilers. Nothing happens on a CPU stream.
  virtual void BeginRange(const std::string& /*name*/) {}
  virtual void EndRange() {}
  // Blocks the host until the stream is empty; returns the first error and forgets it. The executor
  // alone calls it.
  virtual absl::Status Synchronize() = 0;
};

}  // namespace weft
