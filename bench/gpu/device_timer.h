#pragma once

#include <functional>
#include <vector>

#include "absl/status/statusor.h"
#include "tensor/device/stream.h"

namespace weft {

// Seconds of the work that `run` issues, by the device's clock.
struct MeasuredSeconds {
  double median = 0, p10 = 0, p90 = 0;
  size_t runs = 0;
};

// Runs it a few times, then as often as fit in `seconds` (5 to 100 times) one after the other.
absl::StatusOr<MeasuredSeconds> MeasureOnDevice(Stream& stream, double seconds,
                                                const std::function<void()>& run);

}  // namespace weft
