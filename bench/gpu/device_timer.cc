#include "bench/gpu/device_timer.h"

#include <algorithm>

#include "base/clock.h"
#include "base/status_macros.h"

namespace weft {
namespace {

constexpr int kWarmUp = 3;
constexpr int kLeast = 5;
constexpr int kMost = 100;

absl::StatusOr<std::vector<double>> Time(Stream& stream, const std::function<void()>& run,
                                         int rounds) {
  std::vector<int64_t> stamps(2 * static_cast<size_t>(rounds));
  WEFT_RETURN_IF_ERROR(stream.Enqueue([&] {
    for (size_t i = 0; i < stamps.size(); i += 2) {
      stream.Stamp(MonotonicClock(), &stamps[i]);
      run();
      stream.Stamp(MonotonicClock(), &stamps[i + 1]);
    }
    return absl::OkStatus();
  }));
  WEFT_RETURN_IF_ERROR(stream.Synchronize());
  std::vector<double> seconds;
  for (size_t i = 0; i < stamps.size(); i += 2)
    seconds.push_back(static_cast<double>(stamps[i + 1] - stamps[i]) * 1e-9);
  return seconds;
}

}  // namespace

absl::StatusOr<MeasuredSeconds> MeasureOnDevice(Stream& stream, double seconds,
                                                const std::function<void()>& run) {
  WEFT_ASSIGN_OR_RETURN(const std::vector<double> warm, Time(stream, run, kWarmUp));
  const double once = std::max(warm.back(), 1e-6);
  WEFT_ASSIGN_OR_RETURN(
      std::vector<double> times,
      Time(stream, run, static_cast<int>(std::clamp<double>(seconds / once, kLeast, kMost))));
  std::sort(times.begin(), times.end());
  return MeasuredSeconds{times[times.size() / 2], times[times.size() / 10],
                         times[times.size() * 9 / 10], times.size()};
}

}  // namespace weft
