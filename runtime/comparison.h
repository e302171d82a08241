#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "graph/plan.h"
#include "graph/step_graph.h"
#include "runtime/batches.h"
#include "runtime/options.h"
#include "runtime/worker.h"

// The same steps under several plans in turn: what a policy is worth on this cluster, now. Whatever
// slows the machine down for a while slows all of them, and what is compared are times of one
// round.

namespace weft {

// How steps went under the plan of one policy. Times are seconds.
struct ComparedPolicy {
  std::string policy;
  double predicted_step_seconds = 0;
  std::array<double, kNumStreams> busy_seconds = {};  // predicted, by StreamKind
  std::vector<std::vector<double>> rounds;            // of each round: its measured steps

  double step_seconds = 0;  // median of all steps
  double speedup = 0;       // over the first policy: the ratio of the medians
  double speedup_low = 0;   // of the rounds: the least and the greatest ratio of their medians
  double speedup_high = 0;

  // No order of the plan's tasks would be faster: its busiest stream.
  double bound_seconds() const;
};

// The order in which a round runs `count` plans: each round begins with the next one.
std::vector<size_t> RoundOrder(int32_t round, size_t count);

// Fills the medians and ratios from the rounds. REQUIRES: equally many rounds of at least one step.
void Judge(std::vector<ComparedPolicy>& policies);

// Runs blocks of the same steps under each plan in turn, options.compare_rounds times, and files
// the steps of policies[i] under plans[i]. The learning rate is 0: parameters keep their bits. The
// plan that was installed is again at the end. COLLECTIVE. Run it after the last checkpoint: Adam's
// moments move.
absl::Status CompareInTurn(Worker& worker, Batches& batches,
                           const std::vector<std::shared_ptr<const Plan>>& plans,
                           const RunOptions& options, int64_t first_step,
                           std::vector<ComparedPolicy>& policies);

}  // namespace weft
