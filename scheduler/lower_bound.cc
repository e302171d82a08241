#include "scheduler/lower_bound.h"

#include <algorithm>
#include <array>
#include <limits>
#include <vector>

#include "scheduler/priority_order.h"

namespace weft {

double LowerBound(const Schedule& schedule) {
  struct Load {
    double busy = 0;
    double head = std::numeric_limits<double>::infinity();
    double tail = std::numeric_limits<double>::infinity();
  };
  std::array<Load, kNumStreams> loads;
  const std::vector<double> to_the_end = SecondsToTheEnd(schedule);
  std::vector<double> earliest(to_the_end.size(), 0);  // start, if streams were endless
  double bound = 0;
  for (int32_t task = 0; task < schedule.size(); ++task) {
    double& start = earliest[static_cast<size_t>(task)];
    for (int32_t i = schedule.needs_begin(task); i < schedule.needs_end(task); ++i) {
      const int32_t need = schedule.needs()[static_cast<size_t>(i)];
      start = std::max(start, earliest[static_cast<size_t>(need)] + schedule.seconds(need));
    }
    const double left = to_the_end[static_cast<size_t>(task)];
    bound = std::max(bound, start + left);
    Load& load = loads[static_cast<size_t>(schedule.stream(task))];
    load.busy += schedule.seconds(task);
    load.head = std::min(load.head, start);
    load.tail = std::min(load.tail, left - schedule.seconds(task));
  }
  for (const Load& load : loads) {
    if (load.busy > 0) bound = std::max(bound, load.head + load.busy + load.tail);
  }
  return bound;
}

}  // namespace weft
