#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <limits>
#include <map>
#include <unordered_map>
#include <vector>

#include "scheduler/schedule.h"

namespace weft {

// The least makespan of a schedule's tasks, alone, over all orders in which the streams can serve
// them: an exhaustive search, of up to 192 tasks. Branch and bound over active schedules (Giffler
// and Thompson 1960: some best order is one of them), one stretch between two tasks that everything
// waits for at a time. A branch is left when its one-stream relaxations (Jackson's preemptive
// schedules) are no better than what is known, or when the same tasks were served before with
// nothing later. Remembers stretches from one call to the next.
class OptimalOrder {
 public:
  static constexpr int32_t kMostTasks = 192;

  // most_nodes: after so many branches a call ends with the best it has.
  explicit OptimalOrder(int64_t most_nodes = std::numeric_limits<int64_t>::max() / 2)
      : most_nodes_(most_nodes) {}

  // The least makespan if it is less than `below` by more than 1e-6 of it, else `below`. In the
  // former case `order`, if given, becomes one that has it, needs first.
  double Seconds(const Schedule& schedule, double below, std::vector<int32_t>* order = nullptr);

  int64_t nodes() const { return nodes_; }

 private:
  using Tasks = std::bitset<kMostTasks>;
  struct Known {
    double seconds = 0;
    bool exact = false;          // else: the least makespan is not below `seconds`
    std::vector<int32_t> order;  // exact: that has it
  };
  struct State {
    Tasks served;
    std::array<double, kNumStreams> free = {};
    std::vector<double> begin;  // of served tasks
  };

  const Known& Stretch(const Schedule& schedule, double below);
  void PrepareTails();
  void Search(const State& state);
  std::vector<double> Heads(const State& state) const;
  double Bound(const State& state, const std::vector<double>& heads) const;
  double StreamBound(StreamKind stream, const State& state, const std::vector<double>& heads) const;
  bool Dominated(const State& state, const std::vector<double>& heads);

  std::map<std::vector<double>, Known> known_;
  Known cut_off_;
  int64_t most_nodes_;
  int64_t stop_at_ = 0;
  int64_t nodes_ = 0;
  // Of the stretch being searched.
  const Schedule* schedule_ = nullptr;
  double best_ = 0;
  std::vector<int32_t> best_order_;
  std::vector<double> tail_;  // seconds that must follow the end of each task
  std::unordered_map<Tasks, std::vector<std::vector<double>>> seen_;
};

}  // namespace weft
