#pragma once

#include <poll.h>

#include <span>

#include "absl/time/time.h"

namespace weft {

// Blocks until one of `descriptors` has something to say (in its revents) or `until` has passed:
// false. Signals do not end it.
bool PollUntil(std::span<pollfd> descriptors, absl::Time until);

}  // namespace weft
