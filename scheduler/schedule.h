#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "graph/contention.h"
#include "graph/cost_key.h"

// The event simulator's view of a step: tasks in the global issue order, each with a stream, a
// duration (alone) and the tasks it waits for, and what streams that are busy at the same time add.
// Plans, single layers and the planner's drafts all become a Schedule, so that there is one
// simulator.

namespace weft {

class Schedule {
 public:
  Schedule() = default;
  explicit Schedule(const Contention& contention) : contention_(contention) {}

  // No tasks, but room for as many as there were: planning makes thousands of schedules.
  void Reset(const Contention& contention) {
    contention_ = contention;
    streams_.clear();
    seconds_.clear();
    needs_end_.clear();
    needs_.clear();
  }
  // Room for so many.
  void Reserve(size_t tasks, size_t needs) {
    streams_.reserve(tasks);
    seconds_.reserve(tasks);
    needs_end_.reserve(tasks);
    needs_.reserve(needs);
  }
  // Appends a task; returns its index. Need() then adds what this last task waits for.
  // REQUIRES: seconds >= 0, needs are earlier tasks.
  int32_t Add(StreamKind stream, double seconds) {
    streams_.push_back(stream);
    seconds_.push_back(seconds);
    needs_end_.push_back(static_cast<int32_t>(needs_.size()));
    return size() - 1;
  }
  void Need(int32_t task) {
    needs_.push_back(task);
    ++needs_end_.back();
  }

  int32_t size() const { return static_cast<int32_t>(streams_.size()); }
  StreamKind stream(int32_t task) const { return streams_[static_cast<size_t>(task)]; }
  // Alone: what it takes beside others, RunSchedule says.
  double seconds(int32_t task) const { return seconds_[static_cast<size_t>(task)]; }
  // Needs of a task: needs()[needs_begin(task)] .. needs()[needs_end(task) - 1].
  int32_t needs_begin(int32_t task) const {
    return task == 0 ? 0 : needs_end_[static_cast<size_t>(task) - 1];
  }
  int32_t needs_end(int32_t task) const { return needs_end_[static_cast<size_t>(task)]; }
  const std::vector<int32_t>& needs() const { return needs_; }
  std::span<const int32_t> needs_of(int32_t task) const {
    const size_t begin = static_cast<size_t>(needs_begin(task));
    return std::span(needs_).subspan(begin, static_cast<size_t>(needs_end(task)) - begin);
  }
  const Contention& contention() const { return contention_; }

 private:
  Contention contention_;
  std::vector<StreamKind> streams_;
  std::vector<double> seconds_;
  std::vector<int32_t> needs_end_;
  std::vector<int32_t> needs_;
};

// Every stream runs its tasks in issue order, each as soon as the stream is free and its needs have
// ended, at the speed that its contention leaves it. Fills begin[task] and end[task] and returns
// the makespan. In the order of tasks and needs together; without contention one pass.
double RunSchedule(const Schedule& schedule, std::vector<double>& begin, std::vector<double>& end);

// A change must gain more than rounding.
inline bool Faster(double candidate, double best) { return candidate < best * (1 - 1e-9); }

// The same tasks with the same contention issued in another order: `order` lists the old indices.
// REQUIRES: a permutation with needs first.
Schedule Reordered(const Schedule& schedule, const std::vector<int32_t>& order);

}  // namespace weft
