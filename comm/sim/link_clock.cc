#include "comm/sim/link_clock.h"

#include <algorithm>

namespace weft {

int64_t LinkClock::Reserve(int64_t now, int64_t nanos) {
  absl::MutexLock lock(&mutex_);
  const int64_t start = std::max(now, free_at_);
  free_at_ = start + nanos;
  return start;
}

void LinkClock::HoldUntil(int64_t end) {
  absl::MutexLock lock(&mutex_);
  free_at_ = std::max(free_at_, end);
}

}  // namespace weft
