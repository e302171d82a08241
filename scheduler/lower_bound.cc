#include "scheduler/lower_bound.h"

#include <algorithm>
#include <array>
#include <limits>
#include <queue>
#include <utility>
#include <vector>

#include "scheduler/priority_order.h"

namespace weft {
namespace {

struct Served {
  double head = 0;
  double seconds = 0;
  double tail = 0;
};

// When the last tail ends if the stream serves, of the tasks whose head is over, always the one
// with the longest tail, interrupting others: the least that any order of theirs takes.
double PreemptiveEnd(std::vector<Served> tasks) {
  std::sort(tasks.begin(), tasks.end(),
            [](const Served& a, const Served& b) { return a.head < b.head; });
  std::priority_queue<std::pair<double, double>> ready;  // tail, seconds left
  double now = 0;
  double end = 0;
  for (size_t next = 0; next < tasks.size() || !ready.empty();) {
    if (ready.empty()) now = std::max(now, tasks[next].head);
    for (; next < tasks.size() && tasks[next].head <= now; ++next)
      ready.emplace(tasks[next].tail, tasks[next].seconds);
    const auto [tail, left] = ready.top();
    ready.pop();
    const double until = next < tasks.size() ? std::min(now + left, tasks[next].head) : now + left;
    if (until < now + left) {
      ready.emplace(tail, left - (until - now));
    } else {
      end = std::max(end, until + tail);
    }
    now = until;
  }
  return end;
}

// Of tasks of one stream.
struct Least {
  double head = std::numeric_limits<double>::infinity();
  double seconds = 0;
  double tail = std::numeric_limits<double>::infinity();

  // With one more task; returns what no order of them undercuts.
  double Add(double its_head, double its_seconds, double its_tail) {
    head = std::min(head, its_head);
    seconds += its_seconds;
    tail = std::min(tail, its_tail);
    return head + seconds + tail;
  }
};

}  // namespace

double LowerBound(const Schedule& schedule) {
  std::array<std::vector<Served>, kNumStreams> streams;
  const std::vector<double> to_the_end = SecondsToTheEnd(schedule);
  const std::vector<double> earliest = EarliestStarts(schedule);
  double bound = 0;
  for (int32_t task = 0; task < schedule.size(); ++task) {
    const double start = earliest[static_cast<size_t>(task)];
    const double left = to_the_end[static_cast<size_t>(task)];
    bound = std::max(bound, start + left);
    const double seconds = schedule.seconds(task);
    if (seconds > 0)
      streams[static_cast<size_t>(schedule.stream(task))].push_back(
          {start, seconds, left - seconds});
  }
  for (std::vector<Served>& tasks : streams)
    bound = std::max(bound, PreemptiveEnd(std::move(tasks)));
  return bound;
}

double QuickLowerBound(const Schedule& schedule) {
  const std::vector<double> to_the_end = SecondsToTheEnd(schedule);
  const std::vector<double> head = EarliestStarts(schedule);
  std::array<Least, kNumStreams> from_the_start;
  double bound = 0;
  const auto add = [&](int32_t task, std::array<Least, kNumStreams>& streams) {
    const size_t t = static_cast<size_t>(task);
    const double seconds = schedule.seconds(task);
    if (seconds == 0) return;
    Least& least = streams[static_cast<size_t>(schedule.stream(task))];
    bound = std::max(bound, least.Add(head[t], seconds, to_the_end[t] - seconds));
  };
  for (int32_t task = 0; task < schedule.size(); ++task) {
    const size_t t = static_cast<size_t>(task);
    bound = std::max(bound, head[t] + to_the_end[t]);
    add(task, from_the_start);
  }
  std::array<Least, kNumStreams> to_the_last;
  for (int32_t task = schedule.size() - 1; task >= 0; --task) add(task, to_the_last);
  return bound;
}

}  // namespace weft
