#include "base/poll_until.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <string>

#include "absl/time/clock.h"
#include "base/check.h"

namespace weft {

bool PollUntil(std::span<pollfd> descriptors, absl::Time until) {
  for (;;) {
    const absl::Duration left = std::max(until - absl::Now(), absl::ZeroDuration());
    const timespec timeout = absl::ToTimespec(std::min(left, absl::Hours(24)));
    const int ready = ppoll(descriptors.data(), descriptors.size(), &timeout, nullptr);
    if (ready > 0) return true;
    WEFT_CHECK(ready == 0 || errno == EINTR || errno == ENOMEM, "the descriptors can be polled");
    if (ready == 0 && absl::Now() >= until) return false;
  }
}

}  // namespace weft
