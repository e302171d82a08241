#include "base/clock.h"

#include <ctime>

namespace weft {
namespace {

class PosixMonotonicClock final : public Clock {
 public:
  int64_t NowNanos() const override {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
  }
};

}  // namespace

const Clock& MonotonicClock() {
  static const PosixMonotonicClock clock;
  return clock;
}

}  // namespace weft
