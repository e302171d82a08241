#include "scheduler/optimal_order.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/check.h"

namespace weft {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

template <size_t N>
std::vector<std::bitset<N>> Predecessors(const Schedule& schedule) {
  std::vector<std::bitset<N>> before(static_cast<size_t>(schedule.size()));
  for (int32_t task = 0; task < schedule.size(); ++task) {
    for (const int32_t need : schedule.needs_of(task)) {
      before[static_cast<size_t>(task)] |= before[static_cast<size_t>(need)];
      before[static_cast<size_t>(task)].set(static_cast<size_t>(need));
    }
  }
  return before;
}

// Tasks [begin, end) without what they need from outside.
Schedule Part(const Schedule& schedule, const std::vector<int32_t>& tasks) {
  std::vector<int32_t> place(static_cast<size_t>(schedule.size()), -1);
  Schedule part;
  for (const int32_t task : tasks) {
    place[static_cast<size_t>(task)] = part.Add(schedule.stream(task), schedule.seconds(task));
    for (const int32_t need : schedule.needs_of(task)) {
      if (place[static_cast<size_t>(need)] >= 0) part.Need(place[static_cast<size_t>(need)]);
    }
  }
  return part;
}

struct StretchOfTasks {
  Schedule schedule;
  std::vector<int32_t> tasks;  // of the whole
  size_t place = 0;            // among the stretches
};

// The stretches of a schedule: each ends with a task that everything before it must precede and
// everything after it must follow.
template <size_t N>
std::vector<StretchOfTasks> Stretches(const Schedule& schedule) {
  const std::vector<std::bitset<N>> before = Predecessors<N>(schedule);
  std::vector<size_t> followers(before.size(), 0);
  for (const auto& tasks : before) {
    for (size_t task = 0; task < before.size(); ++task) followers[task] += tasks[task];
  }
  std::vector<std::pair<size_t, int32_t>> barriers;  // by how many tasks come first
  for (int32_t task = 0; task < schedule.size(); ++task) {
    const size_t t = static_cast<size_t>(task);
    if (before[t].count() + followers[t] + 1 == before.size()) {
      barriers.emplace_back(before[t].count(), task);
    }
  }
  std::sort(barriers.begin(), barriers.end());
  std::vector<StretchOfTasks> parts;
  std::bitset<N> done;
  const auto add = [&](const std::bitset<N>& until) {
    std::vector<int32_t> tasks;
    for (int32_t task = 0; task < schedule.size(); ++task) {
      const size_t t = static_cast<size_t>(task);
      if (until[t] && !done[t]) tasks.push_back(task);
    }
    if (!tasks.empty()) parts.push_back({Part(schedule, tasks), tasks, parts.size()});
    done = until;
  };
  for (const auto& [position, task] : barriers) {
    std::bitset<N> until = before[static_cast<size_t>(task)];
    until.set(static_cast<size_t>(task));
    add(until);
  }
  std::bitset<N> all;
  for (size_t t = 0; t < before.size(); ++t) all.set(t);
  add(all);
  return parts;
}

std::vector<double> KeyOf(const Schedule& schedule) {
  std::vector<double> key;
  for (int32_t task = 0; task < schedule.size(); ++task) {
    key.push_back(static_cast<double>(schedule.stream(task)));
    key.push_back(schedule.seconds(task));
    for (const int32_t need : schedule.needs_of(task)) key.push_back(need);
    key.push_back(-1);
  }
  return key;
}

}  // namespace

double OptimalOrder::Seconds(const Schedule& schedule, double below, std::vector<int32_t>* order) {
  WEFT_CHECK(schedule.size() <= kMostTasks, "small enough to search");
  stop_at_ = nodes_ + most_nodes_;
  std::vector<StretchOfTasks> parts = Stretches<kMostTasks>(schedule);
  // The largest last: what the others need is then known, and limits it.
  std::sort(parts.begin(), parts.end(),
            [](const auto& a, const auto& b) { return a.tasks.size() < b.tasks.size(); });
  double seconds = 0;
  std::vector<std::vector<int32_t>> orders(parts.size());
  for (size_t i = 0; i < parts.size(); ++i) {
    const bool last = i + 1 == parts.size();
    const Known& known = Stretch(parts[i].schedule, last ? below - seconds : kNever);
    if (!known.exact) return below;
    seconds += known.seconds;
    if (seconds >= below) return below;
    for (const int32_t task : known.order)
      orders[parts[i].place].push_back(parts[i].tasks[static_cast<size_t>(task)]);
  }
  if (order != nullptr) {
    order->clear();
    for (const auto& part : orders) order->insert(order->end(), part.begin(), part.end());
  }
  return seconds;
}

// Exact, or known not to be below `below`.
const OptimalOrder::Known& OptimalOrder::Stretch(const Schedule& schedule, double below) {
  std::vector<double> key = KeyOf(schedule);
  const auto found = known_.find(key);
  if (found != known_.end() && (found->second.exact || found->second.seconds >= below))
    return found->second;
  StretchSearch search(schedule, below, stop_at_ - nodes_);
  search.Run();
  nodes_ += search.nodes();
  const Known result{search.seconds(), search.seconds() < below, search.order()};
  if (search.cut_off()) return cut_off_ = result;  // perhaps not the least
  return known_[std::move(key)] = result;
}

}  // namespace weft
