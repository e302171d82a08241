#include "runtime/comparison.h"

#include <algorithm>

#include "base/check.h"
#include "base/status_macros.h"
#include "runtime/statistics.h"

namespace weft {
namespace {

// Seconds of each step of one block; the first step after a switch warms up and does not count.
absl::StatusOr<std::vector<double>> MeasureBlock(Worker& worker, Batches& batches,
                                                 const Contender& contender, int64_t first_step,
                                                 int32_t steps) {
  WEFT_RETURN_IF_ERROR(worker.Install(StepKind::kTraining, contender.plan));
  std::vector<double> seconds;
  for (int32_t i = -1; i < steps; ++i) {
    const int64_t step = first_step + std::max(i, 0);
    const Batches::Batch batch = batches.Training(step);
    Worker::StepArgs args;
    args.step = step;
    args.tokens = batch.tokens;
    args.labels = batch.labels;
    args.update = step + 1;
    args.workload = contender.workload;
    WEFT_ASSIGN_OR_RETURN(const StepReport report, worker.RunStep(StepKind::kTraining, args));
    if (i >= 0) seconds.push_back(report.seconds);
  }
  return seconds;
}

double MedianOfAll(const Rounds& rounds) {
  std::vector<double> all;
  for (const std::vector<double>& round : rounds) all.insert(all.end(), round.begin(), round.end());
  return Median(std::move(all));
}

}  // namespace

double ComparedPolicy::bound_seconds() const {
  return *std::max_element(busy_seconds.begin(), busy_seconds.end());
}

std::vector<size_t> RoundOrder(int32_t round, size_t count) {
  std::vector<size_t> order(count);
  for (size_t i = 0; i < count; ++i) order[i] = (static_cast<size_t>(round) + i) % count;
  return order;
}

RatioRange RatiosOfRounds(const Rounds& a, const Rounds& b,
                          double (*figure)(const std::vector<double>& round)) {
  WEFT_CHECK(!a.empty() && a.size() == b.size(), "both ran in every round");
  RatioRange range;
  for (size_t round = 0; round < a.size(); ++round) {
    const double ratio = figure(a[round]) / figure(b[round]);
    range.low = round == 0 ? ratio : std::min(range.low, ratio);
    range.high = std::max(range.high, ratio);
  }
  return range;
}

void Judge(std::vector<ComparedPolicy>& policies) {
  for (ComparedPolicy& one : policies) {
    const ComparedPolicy& first = policies.front();
    one.step_seconds = MedianOfAll(one.rounds);
    one.speedup = first.step_seconds / one.step_seconds;
    const RatioRange range = RatiosOfRounds(
        first.rounds, one.rounds, [](const std::vector<double>& round) { return Median(round); });
    one.speedup_low = range.low;
    one.speedup_high = range.high;
  }
}

absl::StatusOr<std::vector<Rounds>> RunInTurn(Worker& worker, Batches& batches,
                                              const std::vector<Contender>& contenders,
                                              const RunOptions& options, int64_t first_step) {
  const std::shared_ptr<const Plan> before = worker.plan(StepKind::kTraining);
  std::vector<Rounds> measured(contenders.size());
  for (int32_t round = 0; round < options.compare_rounds; ++round) {
    const int64_t first = first_step + round * options.compare_steps;
    for (const size_t i : RoundOrder(round, contenders.size())) {
      WEFT_ASSIGN_OR_RETURN(std::vector<double> block, MeasureBlock(worker, batches, contenders[i],
                                                                    first, options.compare_steps));
      measured[i].push_back(std::move(block));
    }
  }
  WEFT_RETURN_IF_ERROR(worker.Install(StepKind::kTraining, before));
  return measured;
}

absl::Status CompareInTurn(Worker& worker, Batches& batches,
                           const std::vector<std::shared_ptr<const Plan>>& plans,
                           const RunOptions& options, int64_t first_step,
                           std::vector<ComparedPolicy>& policies) {
  WEFT_CHECK(plans.size() == policies.size(), "one plan a policy");
  std::vector<Contender> contenders;
  contenders.reserve(plans.size());
  for (const std::shared_ptr<const Plan>& plan : plans) contenders.push_back({plan});
  WEFT_ASSIGN_OR_RETURN(std::vector<Rounds> measured,
                        RunInTurn(worker, batches, contenders, options, first_step));
  for (size_t i = 0; i < policies.size(); ++i) policies[i].rounds = std::move(measured[i]);
  Judge(policies);
  return absl::OkStatus();
}

}  // namespace weft
