#include "runtime/workload_comparison.h"

#include <algorithm>
#include <numeric>

#include "base/check.h"
#include "base/status_macros.h"
#include "runtime/statistics.h"

namespace weft {
namespace {

double Sum(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

double StepSeconds(const Rounds& rounds) {
  double sum = 0;
  const size_t places = rounds.front().size();
  for (size_t place = 0; place < places; ++place) {
    std::vector<double> here;
    for (const std::vector<double>& round : rounds) here.push_back(round[place]);
    sum += Median(std::move(here));
  }
  return sum / static_cast<double>(places);
}

// Rows by EDP copy and EP index: each copy's experts serve the ranks of the copy.
std::vector<double> RowsOfRanks(const WorkerOptions& options, const ForcedRouting& routing,
                                Workload workload, int64_t step) {
  const Layout& layout = options.layout;
  const int64_t sequences = options.batch.global_sequences / layout.edp;
  std::vector<double> rows(static_cast<size_t>(layout.edp * layout.ep));
  for (int64_t copy = 0; copy < layout.edp; ++copy) {
    const std::vector<int64_t> load =
        routing.Load({workload, step, copy * sequences, options.batch.global_sequences}, sequences);
    for (int64_t e = 0; e < std::ssize(load); ++e) {
      const int64_t owner = e * layout.ep / std::ssize(load);
      rows[static_cast<size_t>(copy * layout.ep + owner)] +=
          static_cast<double>(load[static_cast<size_t>(e)]);
    }
  }
  return rows;
}

}  // namespace

double FullestRank(const WorkerOptions& options, Workload workload, int64_t step) {
  double sum = 0;
  int32_t layers = 0;
  for (int32_t layer = 0; layer < options.model.num_layers; ++layer) {
    if (!options.model.is_moe_layer(layer)) continue;
    const ForcedRouting routing(options.model.moe, options.batch.length, options.seed, layer);
    const std::vector<double> rows = RowsOfRanks(options, routing, workload, step);
    sum +=
        *std::max_element(rows.begin(), rows.end()) * static_cast<double>(rows.size()) / Sum(rows);
    ++layers;
  }
  return sum / layers;
}

void Judge(std::vector<ComparedWorkload>& workloads) {
  for (ComparedWorkload& one : workloads) {
    const ComparedWorkload& first = workloads.front();
    one.step_seconds = StepSeconds(one.rounds);
    one.slowdown = one.step_seconds / first.step_seconds;
    const RatioRange range = RatiosOfRounds(one.rounds, first.rounds, Sum);
    one.slowdown_low = range.low;
    one.slowdown_high = range.high;
  }
}

absl::StatusOr<std::vector<ComparedWorkload>> CompareWorkloads(Worker& worker, Batches& batches,
                                                               const RunOptions& options,
                                                               int64_t first_step) {
  const std::shared_ptr<const Plan> plan = worker.plan(StepKind::kTraining);
  std::vector<ComparedWorkload> workloads;
  std::vector<Contender> contenders;
  for (const std::string& name : options.compare_workloads) {
    const std::optional<Workload> workload = WorkloadOf(name);
    WEFT_CHECK(workload.has_value(), "the configuration names workloads");
    contenders.push_back({plan, workload});
    workloads.emplace_back().workload = *workload;
  }
  WEFT_ASSIGN_OR_RETURN(std::vector<Rounds> measured,
                        RunInTurn(worker, batches, contenders, options, first_step));
  const int32_t steps = options.compare_rounds * options.compare_steps;
  for (size_t i = 0; i < workloads.size(); ++i) {
    ComparedWorkload& one = workloads[i];
    one.rounds = std::move(measured[i]);
    if (worker.rank().value != 0) continue;
    one.fullest_rank = 0;
    for (int64_t step = first_step; step < first_step + steps; ++step) {
      one.fullest_rank += FullestRank(worker.options(), one.workload, step) / steps;
    }
  }
  Judge(workloads);
  return workloads;
}

}  // namespace weft
