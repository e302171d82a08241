#pragma once

#include "base/clock.h"

namespace weft {

// Processor time of the thread that asks.
const Clock& ThreadClock();
inline double ThreadSeconds() { return 1e-9 * static_cast<double>(ThreadClock().NowNanos()); }

}  // namespace weft
