#pragma once

namespace weft {

// A point in a stream's order. Made by Stream::Record, waited for by Stream::Wait on any stream of
// the device.
class Event {
 public:
  virtual ~Event() = default;
  // True once everything issued before the event has finished. Never blocks. Thread-safe.
  virtual bool Reached() const = 0;
};

}  // namespace weft
