#include "comm/sim/alarm.h"

#include <sys/prctl.h>

#include "absl/time/time.h"
#include "base/clock.h"

namespace weft {

bool Alarm::WaitUntil(int64_t nanos) {
  prctl(PR_SET_TIMERSLACK,
        1000UL);  // nanoseconds: the kernel's 50 us would be as long as some emulated transfers
  absl::MutexLock lock(&mutex_);
  while (!rung_) {
    const int64_t left = nanos - MonotonicClock().NowNanos();
    if (left <= 0) return true;
    rung_or_due_.WaitWithTimeout(&mutex_, absl::Nanoseconds(left));
  }
  return false;
}

void Alarm::Ring() {
  absl::MutexLock lock(&mutex_);
  rung_ = true;
  rung_or_due_.SignalAll();
}

}  // namespace weft
