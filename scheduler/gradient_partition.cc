#include "scheduler/gradient_partition.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "base/check.h"

namespace weft {

GradientPartition PartitionGradients(const std::vector<PartitionWindow>& windows,
                                     int64_t at_the_end, const std::vector<double>& end_seconds) {
  int64_t total = at_the_end;
  for (const PartitionWindow& window : windows) total += window.produced;
  WEFT_CHECK(end_seconds.size() > static_cast<size_t>(total), "a price for every rest");

  // best[left]: the least seconds of the windows from `i` on and the end, when `left` quanta wait
  // before window i; taken[i][left]: what window i carries then.
  const size_t states = static_cast<size_t>(total) + 1;
  std::vector<double> best(states);
  for (size_t left = 0; left < states; ++left) {
    best[left] = end_seconds[std::min(left + static_cast<size_t>(at_the_end), states - 1)];
  }
  std::vector<std::vector<int64_t>> taken(windows.size(), std::vector<int64_t>(states, 0));
  for (size_t i = windows.size(); i-- > 0;) {
    const PartitionWindow& window = windows[i];
    std::vector<double> with(states, std::numeric_limits<double>::infinity());
    for (int64_t carried = 0; carried + window.produced <= total; ++carried) {
      const int64_t there = carried + window.produced;
      const int64_t most = std::min(there, static_cast<int64_t>(window.seconds.size()) - 1);
      for (int64_t x = 0; x <= most; ++x) {
        const double seconds =
            window.seconds[static_cast<size_t>(x)] + best[static_cast<size_t>(there - x)];
        if (seconds >= with[static_cast<size_t>(carried)]) continue;
        with[static_cast<size_t>(carried)] = seconds;
        taken[i][static_cast<size_t>(carried)] = x;
      }
    }
    best = std::move(with);
  }

  GradientPartition partition;
  partition.seconds = best[0];
  int64_t left = 0;
  for (size_t i = 0; i < windows.size(); ++i) {
    partition.quanta.push_back(taken[i][static_cast<size_t>(left)]);
    left += windows[i].produced - partition.quanta.back();
  }
  return partition;
}

}  // namespace weft
