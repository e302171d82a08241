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

// A schedule as it runs: what is ready when its needs have ended.
class Forwards {
 public:
  explicit Forwards(const Schedule& schedule)
      : schedule_(schedule), ends_(static_cast<size_t>(schedule.size()) + 1) {
    for (const int32_t need : schedule.needs()) ++ends_[static_cast<size_t>(need) + 1];
    for (size_t i = 1; i < ends_.size(); ++i) ends_[i] += ends_[i - 1];
    successors_.resize(schedule.needs().size());
    std::vector<int32_t> next(ends_.begin(), ends_.end() - 1);
    for (int32_t task = 0; task < schedule.size(); ++task) {
      for (const int32_t need : schedule.needs_of(task))
        successors_[static_cast<size_t>(next[static_cast<size_t>(need)]++)] = task;
    }
  }

  int32_t size() const { return schedule_.size(); }
  StreamKind stream(int32_t task) const { return schedule_.stream(task); }
  double seconds(int32_t task) const { return schedule_.seconds(task); }
  // By task: how many needs it has.
  std::vector<int32_t> needs() const {
    std::vector<int32_t> needs;
    needs.reserve(static_cast<size_t>(size()));
    for (int32_t task = 0; task < size(); ++task)
      needs.push_back(static_cast<int32_t>(schedule_.needs_of(task).size()));
    return needs;
  }
  template <typename F>
  void ForEachSuccessor(int32_t task, F use) const {
    const size_t t = static_cast<size_t>(task);
    for (int32_t i = ends_[t]; i < ends_[t + 1]; ++i) use(successors_[static_cast<size_t>(i)]);
  }

 private:
  const Schedule& schedule_;
  std::vector<int32_t>
      ends_;  // of task: successors_[ends_[task]] .. successors_[ends_[task + 1] - 1]
  std::vector<int32_t> successors_;
};

// The same with time running backwards: task i is the last but i, and who was needed needs.
class Backwards {
 public:
  explicit Backwards(const Schedule& schedule) : schedule_(schedule) {}

  int32_t size() const { return schedule_.size(); }
  StreamKind stream(int32_t task) const { return schedule_.stream(Other(task)); }
  double seconds(int32_t task) const { return schedule_.seconds(Other(task)); }
  std::vector<int32_t> needs() const {
    std::vector<int32_t> needs(static_cast<size_t>(size()), 0);
    for (const int32_t need : schedule_.needs()) ++needs[static_cast<size_t>(Other(need))];
    return needs;
  }
  template <typename F>
  void ForEachSuccessor(int32_t task, F use) const {
    for (const int32_t need : schedule_.needs_of(Other(task))) use(Other(need));
  }
  // Of the schedule, of what is here `task`; and the other way round.
  int32_t Other(int32_t task) const { return schedule_.size() - 1 - task; }

 private:
  const Schedule& schedule_;
};

// List scheduling: use(task, end) for every task in the order in which they start.
template <typename Tasks, typename F>
void Serve(const Tasks& tasks, const std::vector<double>& urgency, F use) {
  WEFT_CHECK(urgency.size() == static_cast<size_t>(tasks.size()), "one urgency a task");
  std::vector<int32_t> missing = tasks.needs();  // those that have not ended
  std::vector<double> ready_at(urgency.size(), 0);
  std::array<double, kNumStreams> free = {};
  std::array<Heap, kNumStreams> ready;
  Heap future;  // tasks whose needs are all placed, by the moment the last of them ends
  for (int32_t task = 0; task < tasks.size(); ++task) {
    if (missing[static_cast<size_t>(task)] == 0) future.push({0.0, task});
  }
  double now = 0;
  for (int32_t served = 0; served < tasks.size();) {
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
      ready[static_cast<size_t>(tasks.stream(task))].push(
          {urgency[static_cast<size_t>(task)], task});
      continue;
    }
    WEFT_CHECK(start < kNever, "an order with needs first never stops");
    now = start;
    const int32_t task = ready[stream].top().task;
    ready[stream].pop();
    ++served;
    const double end = free[stream] = start + tasks.seconds(task);
    use(task, end);
    tasks.ForEachSuccessor(task, [&](int32_t successor) {
      const size_t s = static_cast<size_t>(successor);
      ready_at[s] = std::max(ready_at[s], end);
      if (--missing[s] == 0) future.push({ready_at[s], successor});
    });
  }
}

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

// Every task in the first gap of its stream that it fits into, the most urgent first; by task.
std::vector<Run> RunsInGaps(const Schedule& schedule, const std::vector<double>& urgency) {
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
    for (const int32_t need : schedule.needs_of(task))
      ready = std::max(ready, runs[static_cast<size_t>(need)].end);
    const double begin =
        streams[static_cast<size_t>(schedule.stream(task))].Take(ready, schedule.seconds(task));
    runs[static_cast<size_t>(task)] = {begin, begin + schedule.seconds(task), task};
  }
  return runs;
}

}  // namespace

std::vector<int32_t> OrderByPriority(const Schedule& schedule, const std::vector<double>& urgency) {
  std::vector<int32_t> order;
  order.reserve(urgency.size());
  Serve(Forwards(schedule), urgency, [&](int32_t task, double) { order.push_back(task); });
  return order;
}

double SecondsByPriority(const Schedule& schedule, const std::vector<double>& urgency) {
  double seconds = 0;
  Serve(Forwards(schedule), urgency,
        [&](int32_t, double end) { seconds = std::max(seconds, end); });
  return seconds;
}

std::vector<int32_t> OrderInGaps(const Schedule& schedule, const std::vector<double>& urgency) {
  std::vector<Run> runs = RunsInGaps(schedule, urgency);
  std::sort(runs.begin(), runs.end());
  std::vector<int32_t> order;
  order.reserve(runs.size());
  for (const Run& run : runs) order.push_back(run.task);
  return order;
}

double SecondsInGaps(const Schedule& schedule, const std::vector<double>& urgency) {
  double seconds = 0;
  for (const Run& run : RunsInGaps(schedule, urgency)) seconds = std::max(seconds, run.end);
  return seconds;
}

std::vector<double> EarliestStarts(const Schedule& schedule) {
  std::vector<double> starts(static_cast<size_t>(schedule.size()), 0);
  for (int32_t task = 0; task < schedule.size(); ++task) {
    double& start = starts[static_cast<size_t>(task)];
    for (const int32_t need : schedule.needs_of(task))
      start = std::max(start, starts[static_cast<size_t>(need)] + schedule.seconds(need));
  }
  return starts;
}

std::vector<double> SecondsToTheEnd(const Schedule& schedule) {
  std::vector<double> seconds(static_cast<size_t>(schedule.size()), 0);
  for (int32_t task = schedule.size() - 1; task >= 0; --task) {
    const double here = seconds[static_cast<size_t>(task)] += schedule.seconds(task);
    for (const int32_t need : schedule.needs_of(task)) {
      double& before = seconds[static_cast<size_t>(need)];
      before = std::max(before, here);
    }
  }
  return seconds;
}

std::vector<double> ServedSecondsToTheEnd(const Schedule& schedule) {
  const Backwards backwards(schedule);
  // What can start last is first: behind the longest chain of needs.
  std::vector<double> seconds = EarliestStarts(schedule);
  std::vector<double> urgency(seconds.size());
  for (int32_t task = 0; task < schedule.size(); ++task) {
    const double length = schedule.seconds(task);
    urgency[static_cast<size_t>(backwards.Other(task))] =
        length - (seconds[static_cast<size_t>(task)] + length);
  }
  Serve(backwards, urgency, [&](int32_t task, double end) {
    seconds[static_cast<size_t>(backwards.Other(task))] = end;
  });
  return seconds;
}

}  // namespace weft
