#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "simulation/cluster.h"
#include "simulation/fsmoe_grid.h"

// Every policy on every layer of a grid. All policies but weft plan the backward pass with dX and
// dW of a product in one task, as the published systems run it; weft searches on the graph with dW
// split off, and takes the best of the others where that is faster. Nothing else differs but the
// plan.

namespace weft {

struct GridStudyOptions {
  // 1: one MoE layer and its gradient; more: whole blocks, with attention and MP collectives.
  int32_t layers = 1;
  // tutel is always simulated, too: it is what the others are compared to.
  std::vector<std::string> policies;
  std::vector<int32_t> degrees;
  int64_t search_tasks = 500'000;
  int32_t threads = 1;
};

struct PolicyResult {
  double mean_speedup = 0;  // over tutel: mean of the ratios of step times
  double p10_speedup = 0;
  double p90_speedup = 0;
  double mean_over_bound = 0;    // step time over the lower bound of the plan's own tasks
  double seconds_per_layer = 0;  // of planning: processor time, mean
};

// By policy. kInvalidArgument for an unknown policy.
absl::StatusOr<std::map<std::string, PolicyResult>> StudyGrid(const std::vector<GridLayer>& grid,
                                                              const Cluster& cluster,
                                                              const GridStudyOptions& options);

}  // namespace weft
