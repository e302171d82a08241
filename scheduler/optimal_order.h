#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <vector>

#include "scheduler/schedule.h"
#include "scheduler/stretch_search.h"

namespace weft {

// The least makespan of a schedule's tasks, alone, over all orders in which the streams can serve
// them: an exhaustive search (stretch_search.h), of up to 192 tasks, one stretch between two tasks
// that everything waits for at a time. Remembers stretches from one call to the next.
class OptimalOrder {
 public:
  static constexpr int32_t kMostTasks = StretchSearch::kMostTasks;

  // most_nodes: after so many branches a call ends with the best it has.
  explicit OptimalOrder(int64_t most_nodes = std::numeric_limits<int64_t>::max() / 2)
      : most_nodes_(most_nodes) {}

  // The least makespan if it is less than `below` by more than 1e-6 of it, else `below`. In the
  // former case `order`, if given, becomes one that has it, needs first.
  double Seconds(const Schedule& schedule, double below, std::vector<int32_t>* order = nullptr);

  int64_t nodes() const { return nodes_; }

 private:
  struct Known {
    double seconds = 0;
    bool exact = false;          // else: the least makespan is not below `seconds`
    std::vector<int32_t> order;  // exact: that has it
  };

  const Known& Stretch(const Schedule& schedule, double below);

  std::map<std::vector<double>, Known> known_;
  Known cut_off_;
  int64_t most_nodes_;
  int64_t stop_at_ = 0;
  int64_t nodes_ = 0;
};

}  // namespace weft
