#include "scheduler/schedule.h"

#include <algorithm>
#include <array>

namespace weft {

double RunSchedule(const Schedule& schedule, std::vector<double>& begin) {
  const int32_t n = schedule.size();
  begin.resize(static_cast<size_t>(n));
  std::array<double, kNumStreams> free = {};
  double makespan = 0;
  const int32_t* need = schedule.needs().data();
  for (int32_t task = 0; task < n; ++task) {
    double& stream_free = free[static_cast<size_t>(schedule.stream(task))];
    double start = stream_free;
    for (const int32_t* end = schedule.needs().data() + schedule.needs_end(task); need != end;
         ++need) {
      start = std::max(start, begin[static_cast<size_t>(*need)] + schedule.seconds(*need));
    }
    begin[static_cast<size_t>(task)] = start;
    stream_free = start + schedule.seconds(task);
    makespan = std::max(makespan, stream_free);
  }
  return makespan;
}

Schedule Reordered(const Schedule& schedule, const std::vector<int32_t>& order) {
  std::vector<int32_t> position(order.size());
  for (size_t i = 0; i < order.size(); ++i) {
    position[static_cast<size_t>(order[i])] = static_cast<int32_t>(i);
  }
  Schedule result;
  for (const int32_t task : order) {
    result.Add(schedule.stream(task), schedule.seconds(task));
    for (int32_t i = schedule.needs_begin(task); i < schedule.needs_end(task); ++i) {
      result.Need(position[static_cast<size_t>(schedule.needs()[static_cast<size_t>(i)])]);
    }
  }
  return result;
}

}  // namespace weft
