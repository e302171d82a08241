#include "scheduler/priority_order.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <limits>
#include <queue>
#include <utility>

#include "base/check.h"

namespace weft {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

// Searches order thousands of tasks thousands of times: pairs, whose comparison asks for every kind
// of double, take twice as long.
struct Entry {
  double key;
  int32_t task;
};
struct Later {
  bool operator()(const Entry& a, const Entry& b) const {
    return a.key > b.key || (a.key == b.key && a.task > b.task);
  }
};

// The smallest first; equal keys in the order of the tasks.
using Heap = std::priority_queue<Entry, std::vector<Entry>, Later>;

Heap HeapFor(size_t entries) {
  std::vector<Entry> room;
  room.reserve(entries);
  return Heap(Later(), std::move(room));
}

// Who waits for whom, turned round.
struct Successors {
  explicit Successors(const Schedule& schedule)
      : missing(static_cast<size_t>(schedule.size())), ends(missing.size() + 1) {
    for (const int32_t need : schedule.needs()) ++ends[static_cast<size_t>(need) + 1];
    for (size_t i = 0; i < missing.size(); ++i) ends[i + 1] += ends[i];
    tasks.resize(schedule.needs().size());
    std::vector<int32_t> next(ends.begin(), ends.end() - 1);
    for (int32_t task = 0; task < schedule.size(); ++task) {
      missing[static_cast<size_t>(task)] = schedule.needs_end(task) - schedule.needs_begin(task);
      for (int32_t i = schedule.needs_begin(task); i < schedule.needs_end(task); ++i) {
        const size_t need = static_cast<size_t>(schedule.needs()[static_cast<size_t>(i)]);
        tasks[static_cast<size_t>(next[need]++)] = task;
      }
    }
  }

  std::vector<int32_t> missing;  // needs that have not ended
  std::vector<int32_t> ends;  // successors of task: tasks[ends[task]] .. tasks[ends[task + 1] - 1]
  std::vector<int32_t> tasks;
};

// When a stream is busy.
class Timeline {
 public:
  // The earliest begin, `ready` or later, of a gap of so many seconds; then it is busy.
  double Take(double ready, double seconds) {
    auto next = std::upper_bound(busy_.begin(), busy_.end(), ready,
                                 [](double at, const Span& span) { return at < span.end; });
    if (seconds > 0) {
      for (; next != busy_.end() && ready + seconds > next->begin; ++next) ready = next->end;
    } else if (next != busy_.end() && ready > next->begin) {
      ready = NextBoundary(ready);
    }
    const double end = ready + seconds;
    ends_.push_back(end);
    if (next != busy_.end() && next->begin <= ready) return ready;  // no length, between two tasks
    const bool joins_before = next != busy_.begin() && std::prev(next)->end == ready;
    const bool joins_behind = next != busy_.end() && next->begin == end;
    if (joins_before) {
      std::prev(next)->end = joins_behind ? next->end : end;
      if (joins_behind) busy_.erase(next);
    } else if (joins_behind) {
      next->begin = ready;
    } else {
      busy_.insert(next, Span{ready, end});
    }
    return ready;
  }

 private:
  // Where the task that runs at `ready` ends.
  double NextBoundary(double ready) const {
    double boundary = kNever;
    for (const double end : ends_) {
      if (end >= ready) boundary = std::min(boundary, end);
    }
    return boundary;
  }

  struct Span {
    double begin;
    double end;
  };
  std::vector<Span> busy_;    // ascending; those that touch are one, or steps of thousands of tasks
                              // would have as many
  std::vector<double> ends_;  // of all tasks
};

// From when to when a task runs, in order of the beginning, tasks of no length first, then as they
// are listed.
struct Run {
  double begin;
  double end;
  int32_t task;
  bool operator<(const Run& other) const {
    if (begin != other.begin) return begin < other.begin;
    return end != other.end ? end < other.end : task < other.task;
  }
};

// The same tasks with time running backwards: task i is the last but i, and who was needed needs.
Schedule Reversed(const Schedule& schedule) {
  const Successors successors(schedule);
  Schedule reversed;
  reversed.Reserve(static_cast<size_t>(schedule.size()), schedule.needs().size());
  for (int32_t task = schedule.size() - 1; task >= 0; --task) {
    reversed.Add(schedule.stream(task), schedule.seconds(task));
    const size_t t = static_cast<size_t>(task);
    for (int32_t i = successors.ends[t]; i < successors.ends[t + 1]; ++i) {
      reversed.Need(schedule.size() - 1 - successors.tasks[static_cast<size_t>(i)]);
    }
  }
  return reversed;
}

}  // namespace

std::vector<int32_t> OrderByPriority(const Schedule& schedule, const std::vector<double>& urgency) {
  WEFT_CHECK(urgency.size() == static_cast<size_t>(schedule.size()), "one urgency a task");
  Successors successors(schedule);
  std::vector<double> ready_at(urgency.size(), 0);
  std::array<double, kNumStreams> free = {};
  std::array<Heap, kNumStreams> ready;
  for (Heap& heap : ready) heap = HeapFor(urgency.size());
  Heap future = HeapFor(
      urgency.size());  // tasks whose needs are all placed, by the moment the last of them ends
  for (int32_t task = 0; task < schedule.size(); ++task) {
    if (successors.missing[static_cast<size_t>(task)] == 0) future.push({0.0, task});
  }
  std::vector<int32_t> order;
  order.reserve(urgency.size());
  double now = 0;
  while (order.size() < urgency.size()) {
    double start = kNever;
    size_t stream = 0;
    for (size_t s = 0; s < ready.size(); ++s) {
      const double at = ready[s].empty() ? kNever : std::max(free[s], now);
      if (at < start) {
        start = at;
        stream = s;
      }
    }
    if (!future.empty() && future.top().key <= start) {
      const auto [at, task] = future.top();
      future.pop();
      now = std::max(now, at);
      ready[static_cast<size_t>(schedule.stream(task))].push(
          {urgency[static_cast<size_t>(task)], task});
      continue;
    }
    WEFT_CHECK(start < kNever, "an order with needs first never stops");
    now = start;
    const int32_t task = ready[stream].top().task;
    ready[stream].pop();
    order.push_back(task);
    free[stream] = start + schedule.seconds(task);
    const size_t t = static_cast<size_t>(task);
    for (int32_t i = successors.ends[t]; i < successors.ends[t + 1]; ++i) {
      const size_t successor = static_cast<size_t>(successors.tasks[static_cast<size_t>(i)]);
      ready_at[successor] = std::max(ready_at[successor], free[stream]);
      if (--successors.missing[successor] == 0) {
        future.push({ready_at[successor], static_cast<int32_t>(successor)});
      }
    }
  }
  return order;
}

std::vector<int32_t> OrderInGaps(const Schedule& schedule, const std::vector<double>& urgency) {
  WEFT_CHECK(urgency.size() == static_cast<size_t>(schedule.size()), "one urgency a task");
  std::vector<Entry> urgent;
  urgent.reserve(urgency.size());
  for (int32_t task = 0; task < schedule.size(); ++task)
    urgent.push_back({urgency[static_cast<size_t>(task)], task});
  std::sort(urgent.begin(), urgent.end(),
            [](const Entry& a, const Entry& b) { return Later()(b, a); });
  std::array<Timeline, kNumStreams> streams;
  std::vector<Run> runs(urgency.size());
  for (const Entry& entry : urgent) {
    const int32_t task = entry.task;
    double ready = 0;
    for (int32_t i = schedule.needs_begin(task); i < schedule.needs_end(task); ++i) {
      ready =
          std::max(ready, runs[static_cast<size_t>(schedule.needs()[static_cast<size_t>(i)])].end);
    }
    const double begin =
        streams[static_cast<size_t>(schedule.stream(task))].Take(ready, schedule.seconds(task));
    runs[static_cast<size_t>(task)] = {begin, begin + schedule.seconds(task), task};
  }
  std::sort(runs.begin(), runs.end());
  std::vector<int32_t> order;
  order.reserve(runs.size());
  for (const Run& run : runs) order.push_back(run.task);
  return order;
}

std::vector<double> SecondsToTheEnd(const Schedule& schedule) {
  std::vector<double> seconds(static_cast<size_t>(schedule.size()), 0);
  for (int32_t task = schedule.size() - 1; task >= 0; --task) {
    const double here = seconds[static_cast<size_t>(task)] += schedule.seconds(task);
    for (int32_t i = schedule.needs_begin(task); i < schedule.needs_end(task); ++i) {
      double& before = seconds[static_cast<size_t>(schedule.needs()[static_cast<size_t>(i)])];
      before = std::max(before, here);
    }
  }
  return seconds;
}

std::vector<double> ServedSecondsToTheEnd(const Schedule& schedule) {
  const Schedule reversed = Reversed(schedule);
  std::vector<double> urgency = SecondsToTheEnd(reversed);
  for (size_t i = 0; i < urgency.size(); ++i) {
    urgency[i] = reversed.seconds(static_cast<int32_t>(i)) - urgency[i];
  }
  const std::vector<int32_t> order = OrderByPriority(reversed, urgency);
  std::vector<double> begin;
  std::vector<double> end;
  RunSchedule(Reordered(reversed, order), begin, end);
  std::vector<double> seconds(end.size());
  for (size_t i = 0; i < end.size(); ++i) {
    const int32_t task = schedule.size() - 1 - order[i];
    seconds[static_cast<size_t>(task)] = end[i];
  }
  return seconds;
}

}  // namespace weft
