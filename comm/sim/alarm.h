#pragma once

#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace weft {

// A wait for a moment of the monotonic clock that another thread can end. Thread-safe.
class Alarm {
 public:
  // Blocks until `nanos`. False, at once, when Ring has been called before or meanwhile.
  bool WaitUntil(int64_t nanos);
  // Ends all waits, also later ones.
  void Ring();

 private:
  absl::Mutex mutex_;
  absl::CondVar rung_or_due_;
  bool rung_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace weft
