#pragma once

#include <signal.h>

#include "absl/status/status.h"
#include "base/file_descriptor.h"

namespace weft {

// Takes the signals that a launch answers (SIGINT, SIGTERM, SIGHUP, SIGUSR1, and SIGCHLD) from a
// descriptor while it lives; the old signal mask comes back at the end. REQUIRES: the process has
// no other thread.
class LaunchSignals {
 public:
  LaunchSignals();
  ~LaunchSignals();
  LaunchSignals(const LaunchSignals&) = delete;
  LaunchSignals& operator=(const LaunchSignals&) = delete;

  // OK when they can be taken.
  absl::Status status() const { return status_; }
  int fd() const { return fd_.get(); }
  // How often the end was asked for since the last call. Does not block.
  int TakeRequests();

 private:
  sigset_t before_;
  FileDescriptor fd_;
  absl::Status status_;
};

}  // namespace weft
