#pragma once

#include <array>
#include <memory>
#include <optional>
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

using Rounds = std::vector<std::vector<double>>;  // of each round: seconds of its measured steps

// How steps went under the plan of one policy. Times are seconds.
struct ComparedPolicy {
  std::string policy;
  double predicted_step_seconds = 0;
  std::array<double, kNumStreams> busy_seconds = {};  // predicted, by StreamKind
  double order_bound_seconds = 0;  // predicted: what no order of the plan's tasks could undercut
  Rounds rounds;

  double step_seconds = 0;  // median of all steps
  double speedup = 0;       // over the first policy: the ratio of the medians
  double speedup_low = 0;   // of the rounds: the least and the greatest ratio of their medians
  double speedup_high = 0;

  // What no tasks that do as much could undercut: the busiest stream.
  double bound_seconds() const;
};

// The order in which a round runs `count` plans: each round begins with the next one.
std::vector<size_t> RoundOrder(int32_t round, size_t count);

// The least and the greatest figure(a's round) / figure(b's round). REQUIRES: equally many rounds,
// at least one.
struct RatioRange {
  double low = 0;
  double high = 0;
};
RatioRange RatiosOfRounds(const Rounds& a, const Rounds& b,
                          double (*figure)(const std::vector<double>& round));

// Fills the medians and ratios from the rounds. REQUIRES: equally many rounds of at least one step.
void Judge(std::vector<ComparedPolicy>& policies);

// Takes its turn in every round.
struct Contender {
  std::shared_ptr<const Plan> plan;
  std::optional<Workload> workload = std::nullopt;  // of forced routing; none: the model's
};

// Runs blocks of the same steps of each contender in turn, options.compare_rounds times; by
// contender. Round r measures the steps from first_step + r * compare_steps on. The learning rate
// is 0: parameters keep their bits. The plan that was installed is again at the end. COLLECTIVE.
// Run it after the last checkpoint: Adam's moments move.
absl::StatusOr<std::vector<Rounds>> RunInTurn(Worker& worker, Batches& batches,
                                              const std::vector<Contender>& contenders,
                                              const RunOptions& options, int64_t first_step);

// RunInTurn for plans: files the steps of policies[i] under plans[i], and judges.
absl::Status CompareInTurn(Worker& worker, Batches& batches,
                           const std::vector<std::shared_ptr<const Plan>>& plans,
                           const RunOptions& options, int64_t first_step,
                           std::vector<ComparedPolicy>& policies);

}  // namespace weft
