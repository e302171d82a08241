#include "base/thread_clock.h"

#include <ctime>

namespace weft {
namespace {

class PosixThreadClock final : public Clock {
 public:
  int64_t NowNanos() const override {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
  }
};

}  // namespace

const Clock& ThreadClock() {
  static const PosixThreadClock clock;
  return clock;
}

}  // namespace weft
