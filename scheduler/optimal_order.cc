#include "scheduler/optimal_order.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <queue>
#include <utility>

#include "base/check.h"
#include "scheduler/priority_order.h"

namespace weft {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();
constexpr double kRounding = 1e-6;

template <typename F>
void ForEachNeed(const Schedule& schedule, int32_t task, F use) {
  for (int32_t i = schedule.needs_begin(task); i < schedule.needs_end(task); ++i) {
    use(schedule.needs()[static_cast<size_t>(i)]);
  }
}

template <size_t N>
std::vector<std::bitset<N>> Predecessors(const Schedule& schedule) {
  std::vector<std::bitset<N>> before(static_cast<size_t>(schedule.size()));
  for (int32_t task = 0; task < schedule.size(); ++task) {
    ForEachNeed(schedule, task, [&](int32_t need) {
      before[static_cast<size_t>(task)] |= before[static_cast<size_t>(need)];
      before[static_cast<size_t>(task)].set(static_cast<size_t>(need));
    });
  }
  return before;
}

// Tasks [begin, end) without what they need from outside.
Schedule Part(const Schedule& schedule, const std::vector<int32_t>& tasks) {
  std::vector<int32_t> place(static_cast<size_t>(schedule.size()), -1);
  Schedule part;
  for (const int32_t task : tasks) {
    place[static_cast<size_t>(task)] = part.Add(schedule.stream(task), schedule.seconds(task));
    ForEachNeed(schedule, task, [&](int32_t need) {
      if (place[static_cast<size_t>(need)] >= 0) part.Need(place[static_cast<size_t>(need)]);
    });
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
    ForEachNeed(schedule, task, [&](int32_t need) { key.push_back(need); });
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
  schedule_ = &schedule;
  PrepareTails();
  seen_.clear();
  // One schedule to begin with: the longest way to the end first.
  std::vector<double> urgency = SecondsToTheEnd(schedule);
  for (double& seconds : urgency) seconds = -seconds;
  std::vector<double> begin;
  std::vector<double> end;
  best_order_ = OrderByPriority(schedule, urgency);
  const double first = RunSchedule(Reordered(schedule, best_order_), begin, end);
  best_ = std::min(first, below);
  State state;
  state.begin.resize(static_cast<size_t>(schedule.size()));
  Search(state);
  const Known result{best_, best_ < below, best_order_};
  if (nodes_ >= stop_at_) return cut_off_ = result;  // perhaps not the least
  return known_[std::move(key)] = result;
}

// What follows a task on one stream needs the sum of its seconds there, and what follows that.
void OptimalOrder::PrepareTails() {
  const std::vector<Tasks> before = Predecessors<kMostTasks>(*schedule_);
  tail_.assign(before.size(), 0);
  for (size_t task = before.size(); task-- > 0;) {
    for (int stream = 0; stream < kNumStreams; ++stream) {
      std::vector<std::pair<double, double>> followers;  // tail, seconds
      for (size_t later = task + 1; later < before.size(); ++later) {
        const int32_t index = static_cast<int32_t>(later);
        if (!before[later][task] || static_cast<int>(schedule_->stream(index)) != stream) continue;
        followers.emplace_back(tail_[later], schedule_->seconds(index));
      }
      std::sort(followers.rbegin(), followers.rend());
      double sum = 0;
      for (const auto& [tail, seconds] : followers) {
        sum += seconds;
        tail_[task] = std::max(tail_[task], sum + tail);
      }
    }
  }
}

void OptimalOrder::Search(const State& state) {
  if (nodes_ >= stop_at_) return;
  ++nodes_;
  if (state.served.count() == tail_.size()) {
    const double seconds = *std::max_element(state.free.begin(), state.free.end());
    if (seconds >= best_) return;
    best_ = seconds;
    std::iota(best_order_.begin(), best_order_.end(), 0);
    std::stable_sort(best_order_.begin(), best_order_.end(), [&](int32_t a, int32_t b) {
      const auto at = [&](int32_t task) {
        const double begin = state.begin[static_cast<size_t>(task)];
        return std::pair(begin, begin + schedule_->seconds(task));
      };
      return at(a) < at(b);
    });
    return;
  }
  const std::vector<double> heads = Heads(state);
  if (Bound(state, heads) >= best_ * (1 - kRounding) || Dominated(state, heads)) return;
  std::vector<int32_t> eligible;
  int32_t soonest = -1;
  const auto end_of = [&](int32_t task) {
    return heads[static_cast<size_t>(task)] + schedule_->seconds(task);
  };
  for (int32_t task = 0; task < schedule_->size(); ++task) {
    bool there = !state.served[static_cast<size_t>(task)];
    ForEachNeed(*schedule_, task,
                [&](int32_t need) { there &= state.served[static_cast<size_t>(need)]; });
    if (!there) continue;
    eligible.push_back(task);
    if (soonest < 0 || end_of(task) < end_of(soonest)) soonest = task;
  }
  // Whatever else waits for that stream begins before the soonest task could end, or leaves a gap
  // that it fits into.
  const StreamKind stream = schedule_->stream(soonest);
  std::vector<int32_t> branches;
  for (const int32_t task : eligible) {
    const bool conflicts =
        schedule_->stream(task) == stream && heads[static_cast<size_t>(task)] < end_of(soonest);
    if (task == soonest || conflicts) branches.push_back(task);
  }
  std::stable_sort(branches.begin(), branches.end(), [&](int32_t a, int32_t b) {
    return tail_[static_cast<size_t>(a)] > tail_[static_cast<size_t>(b)];
  });
  for (const int32_t task : branches) {
    State next = state;
    next.served.set(static_cast<size_t>(task));
    next.begin[static_cast<size_t>(task)] = heads[static_cast<size_t>(task)];
    next.free[static_cast<size_t>(stream)] = end_of(task);
    Search(next);
  }
}

// The earliest start of every task that is not served.
std::vector<double> OptimalOrder::Heads(const State& state) const {
  std::vector<double> heads(tail_.size());
  for (int32_t task = 0; task < schedule_->size(); ++task) {
    const size_t t = static_cast<size_t>(task);
    if (state.served[t]) continue;
    heads[t] = state.free[static_cast<size_t>(schedule_->stream(task))];
    ForEachNeed(*schedule_, task, [&](int32_t need) {
      const size_t n = static_cast<size_t>(need);
      const double begin = state.served[n] ? state.begin[n] : heads[n];
      heads[t] = std::max(heads[t], begin + schedule_->seconds(need));
    });
  }
  return heads;
}

double OptimalOrder::Bound(const State& state, const std::vector<double>& heads) const {
  double bound = *std::max_element(state.free.begin(), state.free.end());
  for (int32_t task = 0; task < schedule_->size(); ++task) {
    const size_t t = static_cast<size_t>(task);
    if (!state.served[t]) {
      bound = std::max(bound, heads[t] + schedule_->seconds(task) + tail_[t]);
    }
  }
  for (int stream = 0; stream < kNumStreams && bound < best_ * (1 - kRounding); ++stream) {
    bound = std::max(bound, StreamBound(static_cast<StreamKind>(stream), state, heads));
  }
  return bound;
}

// Jackson's preemptive schedule: whatever is there with the longest tail runs, and gives way.
double OptimalOrder::StreamBound(StreamKind stream, const State& state,
                                 const std::vector<double>& heads) const {
  std::vector<std::pair<double, int32_t>> coming;
  for (int32_t task = 0; task < schedule_->size(); ++task) {
    const size_t t = static_cast<size_t>(task);
    if (schedule_->stream(task) == stream && !state.served[t]) coming.emplace_back(heads[t], task);
  }
  std::sort(coming.begin(), coming.end());
  std::priority_queue<std::pair<double, double>> there;  // tail, seconds left
  double bound = 0;
  double now = 0;
  for (size_t next = 0; next < coming.size() || !there.empty();) {
    if (there.empty()) now = std::max(now, coming[next].first);
    for (; next < coming.size() && coming[next].first <= now; ++next) {
      const int32_t task = coming[next].second;
      there.emplace(tail_[static_cast<size_t>(task)], schedule_->seconds(task));
    }
    const auto [tail, left] = there.top();
    there.pop();
    const double until = next < coming.size() ? coming[next].first : kNever;
    if (now + left > until) {
      there.emplace(tail, left - (until - now));
      now = until;
    } else {
      now += left;
      bound = std::max(bound, now + tail);
    }
  }
  return bound;
}

bool OptimalOrder::Dominated(const State& state, const std::vector<double>& heads) {
  std::vector<std::vector<double>>& others = seen_[state.served];
  const auto no_later = [](const std::vector<double>& a, const std::vector<double>& b) {
    return std::equal(a.begin(), a.end(), b.begin(), std::less_equal<>());
  };
  for (const std::vector<double>& other : others) {
    if (no_later(other, heads)) return true;
  }
  others.erase(std::remove_if(others.begin(), others.end(),
                              [&](const auto& other) { return no_later(heads, other); }),
               others.end());
  others.push_back(heads);
  return false;
}

}  // namespace weft
