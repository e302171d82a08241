#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <limits>
#include <unordered_map>
#include <vector>

#include "scheduler/schedule.h"

namespace weft {

// The least makespan of a schedule's tasks, alone, over all orders in which the streams can serve
// them, of up to 192 tasks: branch and bound over active schedules (Giffler and Thompson 1960: some
// best order is one of them). A branch is left when its one-stream relaxations (Jackson's
// preemptive schedules) are no better than what is known, or when the same tasks were served before
// with nothing later. Used once.
class StretchSearch {
 public:
  static constexpr size_t kMostTasks = 192;

  // Looks for less than `below` by more than 1e-6 of it, in at most so many branches. REQUIRES: the
  // schedule outlives it.
  StretchSearch(const Schedule& schedule, double below, int64_t most_nodes);

  void Run();

  // The least makespan found, `below` if none. It is the least of all unless the search was cut
  // off.
  double seconds() const { return best_; }
  // Of the best schedule found, needs first; empty if none is below.
  const std::vector<int32_t>& order() const { return best_order_; }
  int64_t nodes() const { return nodes_; }
  bool cut_off() const { return nodes_ >= most_nodes_; }

 private:
  using Tasks = std::bitset<kMostTasks>;
  static constexpr double kNever = std::numeric_limits<double>::infinity();

  // The tasks of one stream.
  struct Stream {
    std::vector<int32_t> by_tail;  // the longest first
    // Those that are not served, by the heads of the branch looked at last: almost sorted for the
    // next one.
    std::vector<int32_t> by_head;
    double free = 0;  // when what is served has ended
  };

  void FindTails();
  void TryLongestTailFirst();
  void Search(size_t depth);
  void Served();
  bool FindHeads(double* heads, double below);
  bool RuledOut(const double* heads, double below);
  double StreamBound(Stream& stream, const double* heads, double enough);
  bool Dominated(const double* heads);
  // Puts the tasks to branch over at the end of branches_.
  void FindBranches(const double* heads);

  size_t size() const { return seconds_.size(); }

  const Schedule& schedule_;
  const int64_t most_nodes_;
  double best_;
  std::vector<int32_t> best_order_;
  int64_t nodes_ = 0;
  // By task.
  std::vector<double> seconds_;
  std::vector<double> tail_;  // seconds that must follow its end
  std::vector<size_t> rank_;  // its place in by_tail of its stream
  std::vector<std::vector<int32_t>> successors_;
  // Of the branch that is looked at.
  std::array<Stream, kNumStreams> streams_;
  size_t fullest_ = 0;  // of the streams
  Tasks served_;
  std::vector<int32_t> unserved_;  // ascending
  std::vector<double> begin_;      // of served tasks
  std::vector<double> end_;        // ... and of the others, if they start at the heads found last
  std::vector<int32_t> missing_;   // needs that are not served
  std::vector<double> heads_;      // by depth and task: the earliest start
  std::vector<int32_t> branches_;
  std::vector<double> left_;  // StreamBound: seconds that a task still has to run, by rank
  // By what is served: heads of the others, of all branches that none was no later than.
  std::unordered_map<Tasks, std::vector<double>> seen_;
};

}  // namespace weft
