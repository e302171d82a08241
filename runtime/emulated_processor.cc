#include "runtime/emulated_processor.h"

#include <algorithm>
#include <cmath>

#include "base/clock.h"
#include "base/thread_clock.h"
#include "base/thread_priority.h"

namespace weft {
namespace {

constexpr int64_t kSlice = 100'000;  // nanoseconds; the least that Linux grants

}  // namespace

int64_t EmulatedProcessor::Begin(int64_t ready_nanos) {
  if (!prepared_) SetOwnSlice(kSlice);
  prepared_ = true;
  used_ = ThreadClock().NowNanos();
  begin_ = std::max(ready_nanos, due_);
  return std::max(begin_, last_end_);
}

void EmulatedProcessor::End() {
  const auto own = static_cast<double>(ThreadClock().NowNanos() - used_);
  due_ = begin_ + std::llround(own / share_);
  rest_.WaitUntil(due_);
  last_end_ = MonotonicClock().NowNanos();
}

}  // namespace weft
