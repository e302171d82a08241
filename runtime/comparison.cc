#include "runtime/comparison.h"

#include <algorithm>

#include "base/status_macros.h"
#include "runtime/statistics.h"

namespace weft {
namespace {

// Seconds of each step of one block; the first step after a switch warms up and does not count.
absl::StatusOr<std::vector<double>> MeasureBlock(Worker& worker, Batches& batches,
                                                 std::shared_ptr<const Plan> plan,
                                                 int64_t first_step, int32_t steps) {
  WEFT_RETURN_IF_ERROR(worker.Install(StepKind::kTraining, std::move(plan)));
  std::vector<double> seconds;
  for (int32_t i = -1; i < steps; ++i) {
    const int64_t step = first_step + std::max(i, 0);
    const Batches::Batch batch = batches.Training(step);
    Worker::StepArgs args;
    args.step = step;
    args.tokens = batch.tokens;
    args.labels = batch.labels;
    args.update = step + 1;
    WEFT_ASSIGN_OR_RETURN(const StepReport report, worker.RunStep(StepKind::kTraining, args));
    if (i >= 0) seconds.push_back(report.seconds);
  }
  return seconds;
}

}  // namespace

absl::StatusOr<Comparison> ComparePlans(Worker& worker, Batches& batches,
                                        std::shared_ptr<const Plan> sequential,
                                        std::shared_ptr<const Plan> plan, const RunOptions& options,
                                        int64_t first_step) {
  std::vector<double> all_sequential;
  std::vector<double> all_plan;
  std::vector<double> ratios;
  for (int32_t round = 0; round < options.compare_rounds; ++round) {
    const int64_t first = first_step + round * options.compare_steps;
    WEFT_ASSIGN_OR_RETURN(const std::vector<double> slow,
                          MeasureBlock(worker, batches, sequential, first, options.compare_steps));
    WEFT_ASSIGN_OR_RETURN(const std::vector<double> fast,
                          MeasureBlock(worker, batches, plan, first, options.compare_steps));
    ratios.push_back(Median(slow) / Median(fast));
    all_sequential.insert(all_sequential.end(), slow.begin(), slow.end());
    all_plan.insert(all_plan.end(), fast.begin(), fast.end());
  }
  Comparison result;
  result.sequential_seconds = Median(all_sequential);
  result.plan_seconds = Median(all_plan);
  result.speedup = result.sequential_seconds / result.plan_seconds;
  result.low = *std::min_element(ratios.begin(), ratios.end());
  result.high = *std::max_element(ratios.begin(), ratios.end());
  return result;
}

}  // namespace weft
