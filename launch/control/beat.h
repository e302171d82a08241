#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "absl/time/time.h"

// Waiting with a timeout, by the monotonic clock alone: absl::Mutex of this Abseil counts its
// timeouts by the wall clock, which an operator may set back by an hour.

namespace weft {

// Happens at most once. Thread-safe.
class OnceEvent {
 public:
  void Set();
  bool happened() const;
  // False when it has not happened within `timeout`.
  bool Wait(absl::Duration timeout) const;

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  bool happened_ = false;
};

// A thread that calls `beat` at once, then every `period` and whenever woken, until stopped.
class Beat {
 public:
  Beat(absl::Duration period, std::function<void()> beat);
  ~Beat();  // Stop()
  Beat(const Beat&) = delete;
  Beat& operator=(const Beat&) = delete;

  // The next beat comes now. Thread-safe; may be called from within `beat`.
  void Wake();
  // Blocks until a running beat has ended; none follows. REQUIRES: not called from within `beat`.
  void Stop();

 private:
  void Run();

  const absl::Duration period_;
  const std::function<void()> beat_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool wake_ = false;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace weft
