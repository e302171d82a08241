#include "simulation/grid_study.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <thread>
#include <utility>

#include "base/status_macros.h"
#include "base/thread_clock.h"
#include "scheduler/passes/passes.h"
#include "scheduler/planner.h"
#include "scheduler/simulate.h"

namespace weft {
namespace {

// What one policy made of one layer.
struct Sample {
  double seconds = 0;
  double bound = 0;
  double planning_seconds = 0;
};

// One plan of `policy`, with dX and dW of a product in one task or in two.
absl::StatusOr<Sample> PlanOnce(AlignedModel model, bool split, const Cluster& cluster,
                                const GridStudyOptions& options, const std::string& policy,
                                const PlanPasses& passes) {
  model.split_weight_gradients = split;
  const StepGraph graph = BuildAlignedGraph(model, cluster.topology);
  const ClusterCostModel costs(cluster, ProductsOf(model));
  PlanRequest request;
  request.graph = &graph;
  request.costs = &costs;
  request.policy = policy;
  request.degrees = options.degrees;
  request.search_tasks = options.search_tasks;
  const double begin = ThreadSeconds();
  WEFT_ASSIGN_OR_RETURN(const Plan plan, MakePlan(request, passes));
  const double planning = ThreadSeconds() - begin;  // the bound is no part of it
  return Sample{plan.predicted_seconds, LowerBoundOf(graph, plan, costs), planning};
}

absl::StatusOr<Sample> PlanLayer(const AlignedModel& model, const Cluster& cluster,
                                 const GridStudyOptions& options, const std::string& policy) {
  WEFT_ASSIGN_OR_RETURN(const PlanPasses passes, MakePasses(policy));
  if (policy != "weft") return PlanOnce(model, false, cluster, options, policy, passes);
  WEFT_ASSIGN_OR_RETURN(Sample split, PlanOnce(model, true, cluster, options, policy, passes));
  PlanPasses others;
  others.push_back(MakeBestOfPolicies());
  WEFT_ASSIGN_OR_RETURN(Sample whole, PlanOnce(model, false, cluster, options, policy, others));
  whole.planning_seconds = split.planning_seconds += whole.planning_seconds;
  return whole.seconds < split.seconds ? whole : split;
}

double Quantile(std::vector<double> values, double q) {
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(std::lround(q * static_cast<double>(values.size() - 1)))];
}

}  // namespace

absl::StatusOr<std::map<std::string, PolicyResult>> StudyGrid(const std::vector<GridLayer>& grid,
                                                              const Cluster& cluster,
                                                              const GridStudyOptions& options) {
  std::vector<std::string> policies = {"tutel"};
  for (const std::string& policy : options.policies) {
    WEFT_RETURN_IF_ERROR(CheckPolicy(policy));
    if (policy != "tutel") policies.push_back(policy);
  }
  // samples[policy][layer]; every cell is written by one thread.
  std::vector<std::vector<absl::StatusOr<Sample>>> samples(
      policies.size(), std::vector<absl::StatusOr<Sample>>(grid.size(), Sample{}));
  std::atomic<size_t> next{0};
  const auto work = [&] {
    for (size_t i = next++; i < grid.size(); i = next++) {
      AlignedModel model = grid[i].model;
      model.layers = options.layers;
      model.blocks = options.layers > 1;
      for (size_t p = 0; p < policies.size(); ++p) {
        samples[p][i] = PlanLayer(model, cluster, options, policies[p]);
      }
    }
  };
  std::vector<std::thread> threads;
  for (int32_t i = 1; i < options.threads; ++i) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();

  std::map<std::string, PolicyResult> results;
  for (size_t p = 0; p < policies.size(); ++p) {
    PolicyResult& result = results[policies[p]];
    std::vector<double> speedups;
    double weight = 0;
    for (size_t i = 0; i < grid.size(); ++i) {
      WEFT_ASSIGN_OR_RETURN(const Sample sample, samples[p][i]);
      const double speedup = samples[0][i]->seconds / sample.seconds;
      const double copies = grid[i].copies;
      speedups.push_back(speedup);
      weight += copies;
      result.mean_speedup += copies * speedup;
      result.mean_over_bound += copies * sample.seconds / sample.bound;
      result.seconds_per_layer += copies * sample.planning_seconds / options.layers;
    }
    if (speedups.empty()) continue;
    result.mean_speedup /= weight;
    result.mean_over_bound /= weight;
    result.seconds_per_layer /= weight;
    result.p10_speedup = Quantile(speedups, 0.1);
    result.p90_speedup = Quantile(speedups, 0.9);
  }
  return results;
}

}  // namespace weft
