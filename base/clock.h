#pragma once

#include <cstdint>

namespace weft {

// Time as the protocols see it: monotonic nanoseconds. All processes of one host share the origin
// (CLOCK_MONOTONIC).
class Clock {
 public:
  virtual ~Clock() = default;
  virtual int64_t NowNanos() const = 0;
};

// The process-wide CLOCK_MONOTONIC. Thread-safe.
const Clock& MonotonicClock();

// Advances only when told to. Not thread-safe.
class FakeClock final : public Clock {
 public:
  int64_t NowNanos() const override { return now_; }
  void Advance(int64_t nanos) { now_ += nanos; }

 private:
  int64_t now_ = 0;
};

}  // namespace weft
