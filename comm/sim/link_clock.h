#pragma once

#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace weft {

// One rank's share of one link: carries one transfer at a time, in the order in which they ask.
// Shared by the rank's communicators of that link class, whichever thread they run on. Times are
// monotonic nanoseconds. Thread-safe.
class LinkClock {
 public:
  // The start of a transfer that wants to begin at `now`: when the link has become free. Holds the
  // link for `nanos` from then on.
  int64_t Reserve(int64_t now, int64_t nanos);
  // A transfer ends at `end`, later than it had reserved (a peer came late or had more to move).
  // Never earlier.
  void HoldUntil(int64_t end);

 private:
  absl::Mutex mutex_;
  int64_t free_at_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace weft
