#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "models/moe/forced_routing.h"
#include "runtime/comparison.h"

// The same steps under several workloads of forced routing in turn: what skew costs on this
// cluster, under the plan in force.

namespace weft {

struct ComparedWorkload {
  Workload workload = Workload::kBalanced;
  // The rows of the rank with the most by those of the mean rank, before capacities; the mean over
  // the measured steps and the layers with experts. Counted on rank 0 alone.
  double fullest_rank = 1;
  Rounds rounds;  // seconds

  // The mean over the places of a block of the median over the rounds: single slow steps count,
  // single slow rounds do not. With compare_steps a multiple of workload_period, a place is in the
  // same phase of w6 and w7 in every round.
  double step_seconds = 0;
  double slowdown = 0;      // over the first workload: the ratio of both
  double slowdown_low = 0;  // of the rounds: the least and the greatest ratio of their blocks
  double slowdown_high = 0;
};

// Rows of the fullest rank by the mean in one step. REQUIRES: forced routing.
double FullestRank(const WorkerOptions& options, Workload workload, int64_t step);

// Fills the times and ratios from the rounds. REQUIRES: equally many rounds of equally many steps,
// at least one.
void Judge(std::vector<ComparedWorkload>& workloads);

// As RunInTurn, for options.compare_workloads. REQUIRES: forced routing, names that WorkloadOf
// knows. COLLECTIVE.
absl::StatusOr<std::vector<ComparedWorkload>> CompareWorkloads(Worker& worker, Batches& batches,
                                                               const RunOptions& options,
                                                               int64_t first_step);

}  // namespace weft
