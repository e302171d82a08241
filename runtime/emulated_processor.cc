#include "runtime/emulated_processor.h"

#include <algorithm>
#include <cmath>
#include <ctime>

#include "base/clock.h"
#include "base/thread_priority.h"

namespace weft {
namespace {

constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kSlice = 100'000;  // nanoseconds; the least that Linux grants

int64_t UsedByThisThread() {
  timespec now = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return int64_t{now.tv_sec} * kSecond + now.tv_nsec;
}

}  // namespace

int64_t EmulatedProcessor::Begin(int64_t ready_nanos) {
  if (!prepared_) SetOwnSlice(kSlice);
  prepared_ = true;
  used_ = UsedByThisThread();
  begin_ = std::max(ready_nanos, due_);
  return std::max(begin_, last_end_);
}

void EmulatedProcessor::End() {
  const auto own = static_cast<double>(UsedByThisThread() - used_);
  due_ = begin_ + std::llround(own / share_);
  rest_.WaitUntil(due_);
  last_end_ = MonotonicClock().NowNanos();
}

}  // namespace weft
