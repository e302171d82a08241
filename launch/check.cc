#include "launch/check.h"

#include <algorithm>
#include <iostream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/units.h"
#include "launch/bootstrap.h"
#include "launch/commands/exit_codes.h"
#include "launch/config/config.h"
#include "models/build_step_graph.h"
#include "models/memory_estimate.h"
#include "models/parameters.h"
#include "runtime/batch_shape_of.h"
#include "runtime/plan_request.h"
#include "scheduler/analytic_cost_model.h"
#include "scheduler/planner.h"

namespace weft {
namespace {

absl::StatusOr<int32_t> RanksOf(const std::string& text, const ClusterOptions& cluster) {
  if (text.empty()) {
    return std::max({cluster.ranks_per_node, cluster.tensor_parallel,
                     std::max(1, cluster.expert_parallel) * std::max(1, cluster.expert_sharding)});
  }
  int32_t ranks = 0;
  if (absl::SimpleAtoi(text, &ranks) && ranks >= 1 && ranks <= 65536) return ranks;
  return absl::InvalidArgumentError(absl::StrCat("--ranks '", text, "': 1 to 65536 are allowed"));
}

absl::StatusOr<std::string> Check(const std::string& config_path,
                                  const std::vector<std::string>& overrides,
                                  const std::string& ranks) {
  WEFT_ASSIGN_OR_RETURN(const LoadedConfig config, LoadConfig(config_path, overrides));
  const JobOptions& o = config.options;
  WEFT_ASSIGN_OR_RETURN(const int32_t world, RanksOf(ranks, o.cluster));
  WEFT_RETURN_IF_ERROR(ValidateConfig(config, world));
  // Without hosts to ask, ranks_per_node 0 means one node.
  WEFT_ASSIGN_OR_RETURN(const Topology topology,
                        TopologyOf(o.cluster, std::vector<int>(static_cast<size_t>(world), 0)));
  WEFT_ASSIGN_OR_RETURN(const Layout layout,
                        LayoutOf(o.cluster, topology, o.model.moe.num_experts));
  const BatchShape batch = BatchShapeOf(o.training, topology);
  const StepGraph graph = BuildStepGraph(o.model, topology, layout, batch, StepKind::kTraining);
  const AnalyticCostModel costs{MachineSpeeds{}};
  PlanRequest request = PlanRequestOf(o.tuning, o.tuning.policy);
  request.graph = &graph;
  request.costs = &costs;
  WEFT_ASSIGN_OR_RETURN(const Plan plan, MakePlan(request));
  return absl::StrCat(
      config_path, " is valid: ", FormatCount(static_cast<double>(CountParameters(o.model))),
      " parameters, ", world, world == 1 ? " rank" : " ranks", ", ", DescribeLayout(layout), ", ",
      graph.ops.size(), " operations and ", plan.tasks.size(), " tasks a step; rank 0 takes about ",
      ToString(EstimateMemory(o.model, topology, layout, batch, RankId{0})));
}

}  // namespace

int CheckJob(const std::string& config_path, const std::vector<std::string>& overrides,
             const std::string& ranks) {
  const absl::StatusOr<std::string> checked = Check(config_path, overrides, ranks);
  if (!checked.ok()) {
    std::cerr << checked.status().message() << "\n";
    return kExitUsage;
  }
  std::cout << *checked << "\n";
  return kExitDone;
}

}  // namespace weft
