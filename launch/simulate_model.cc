#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "base/units.h"
#include "launch/bootstrap.h"
#include "launch/config/cluster_file.h"
#include "launch/config/config.h"
#include "launch/job_file.h"
#include "launch/simulate_modes.h"
#include "launch/simulate_world.h"
#include "models/build_step_graph.h"
#include "models/memory_estimate.h"
#include "models/parameters.h"
#include "profiler/sinks/chrome_trace.h"
#include "runtime/batch_shape_of.h"
#include "runtime/plan_request.h"
#include "runtime/storage/durable_file.h"
#include "scheduler/analytic_cost_model.h"
#include "scheduler/measured_cost_model.h"
#include "scheduler/planner.h"
#include "scheduler/simulate.h"

namespace weft {
namespace {

struct Row {
  std::string policy;
  Plan plan;
  double bound = 0;
};

// A span of every task in the shape of a measured step, of the one rank that stands for all.
absl::Status WriteTrace(const std::string& path, const StepGraph& graph, const Row& row,
                        const CostModel& costs, const Topology& topology) {
  TraceProcess process;
  process.world_size = topology.world_size;
  process.backend = "simulated";
  WEFT_ASSIGN_OR_RETURN(const std::unique_ptr<ChromeTrace> trace, ChromeTrace::Open(path, process));
  std::vector<TaskInterval> tasks;
  for (const Span& span : TraceOf(graph, row.plan, Simulate(graph, row.plan, costs))) {
    TaskInterval task;
    task.task = span.task;
    task.stream = graph.op(row.plan.tasks[static_cast<size_t>(span.task)].op).stream;
    task.begin_nanos = task.transfer_nanos = span.begin_nanos;
    task.end_nanos = span.end_nanos;
    task.size = span.size;
    tasks.push_back(task);
  }
  WEFT_RETURN_IF_ERROR(trace->AddStep(graph, row.plan, 0, tasks));
  return trace->Close();
}

std::string Table(const std::vector<Row>& rows, double reference) {
  std::string text = absl::StrFormat("%-16s %12s %9s %10s %8s\n", "policy", "step", "speed-up",
                                     "over bound", "tasks");
  for (const Row& row : rows) {
    absl::StrAppendFormat(&text, "%-16s %12s %9.3f %10.3f %8d\n", row.policy,
                          FormatSeconds(row.plan.predicted_seconds),
                          reference / row.plan.predicted_seconds,
                          row.plan.predicted_seconds / row.bound, row.plan.tasks.size());
  }
  return text;
}

// What stands below a table: the layout, whether it fits, and what the table leaves out.
std::string Footnote(const ModelSpec& model, const Layout& layout, const MemoryEstimate& memory,
                     bool ranks_differ) {
  std::string text =
      absl::StrCat(FormatCount(static_cast<double>(CountParameters(model))), " parameters, ",
                   DescribeLayout(layout), "; rank 0 takes about ", ToString(memory), "\n");
  const int32_t experts = model.moe.num_experts;
  if (!ranks_differ && experts % layout.ep != 0) {
    absl::StrAppend(&text, experts, " experts do not divide evenly over ", layout.ep,
                    " ranks, which these times leave out; --workload w0 has it\n");
  }
  return text;
}

// What --cluster names: a cluster in words, or the profile.json of a run, with the job.json beside
// it.
struct Machine {
  std::string name;
  Topology topology;
  Cluster cluster;
  std::optional<ProfileTable> profile;
};

absl::StatusOr<Machine> LoadMachine(const std::string& path) {
  Machine machine;
  if (!std::string_view(path).ends_with(".json")) {
    WEFT_ASSIGN_OR_RETURN(const ClusterFile file, LoadClusterFile(path));
    machine.name = file.cluster.name;
    machine.topology = file.cluster.topology;
    machine.cluster = file.cluster;
    return machine;
  }
  WEFT_ASSIGN_OR_RETURN(const std::string text, LoadFile(path));
  absl::StatusOr<ProfileTable> profile = ProfileFromJson(text);
  WEFT_RETURN_IF_ERROR(WithContext(profile.status(), path));
  machine.profile = *std::move(profile);
  const size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash);
  WEFT_ASSIGN_OR_RETURN(const JobShape shape, LoadJobFile(directory));
  machine.name = path;
  machine.topology = shape.topology;
  return machine;
}

// A profile answers for the widths and groups it was measured with, and for nothing else.
absl::StatusOr<std::unique_ptr<const CostModel>> CostsOf(const Machine& machine,
                                                         const StepGraph& graph,
                                                         Backbone backbone) {
  if (machine.profile.has_value()) {
    for (const Op& op : graph.ops) {
      if (machine.profile->entries.contains(CalibrationKey(op.key))) continue;
      return absl::InvalidArgumentError(
          absl::StrCat(machine.name, " has no cost of ", ToString(CalibrationKey(op.key)),
                       ": it was measured with another model, layout or machine"));
    }
    return std::make_unique<const MeasuredCostModel>(
        *machine.profile, std::make_shared<const AnalyticCostModel>(MachineSpeeds{}));
  }
  ProductCounts products;
  products.expert = products.expert_backward = products.expert_wgrad =
      backbone == Backbone::kMixtral ? 3 : 2;
  return std::make_unique<const ClusterCostModel>(machine.cluster, products);
}

}  // namespace

absl::StatusOr<std::string> SimulateModel(const Arguments& arguments) {
  WEFT_ASSIGN_OR_RETURN(const std::vector<std::string> policies, PoliciesOf(arguments));
  WEFT_ASSIGN_OR_RETURN(const Machine machine, LoadMachine(arguments.value_or("--cluster", "")));
  const Topology& topology = machine.topology;
  std::vector<std::string> overrides = {
      absl::StrCat("cluster.ranks_per_node=", topology.ranks_per_node)};
  overrides.insert(overrides.end(), arguments.operands.begin(), arguments.operands.end());
  WEFT_ASSIGN_OR_RETURN(const LoadedConfig config,
                        LoadConfig(arguments.value_or("--model", ""), overrides));
  const JobOptions& o = config.options;
  WEFT_RETURN_IF_ERROR(ValidateConfig(config, topology.world_size));
  WEFT_ASSIGN_OR_RETURN(const Layout layout,
                        LayoutOf(o.cluster, topology, o.model.moe.num_experts));
  const BatchShape batch = BatchShapeOf(o.training, topology);
  const StepGraph graph = BuildStepGraph(o.model, topology, layout, batch, StepKind::kTraining);
  WEFT_ASSIGN_OR_RETURN(const std::unique_ptr<const CostModel> owned,
                        CostsOf(machine, graph, o.model.backbone));
  const CostModel& costs = *owned;
  WEFT_ASSIGN_OR_RETURN(
      const std::optional<UnlikeRanks> unlike,
      UnlikeRanksOf(arguments, {o.model, o.training, batch, topology}, machine.cluster.stragglers));

  std::vector<Row> rows;
  for (const std::string& policy : policies) {
    PlanRequest request = PlanRequestOf(o.tuning, policy);
    request.graph = &graph;
    request.costs = &costs;
    WEFT_ASSIGN_OR_RETURN(Plan plan, MakePlan(request));
    const double bound = LowerBoundOf(graph, plan, costs);
    rows.push_back(Row{policy, std::move(plan), bound});
  }
  double reference = rows.front().plan.predicted_seconds;
  for (const Row& row : rows) {
    if (row.policy == "tutel") reference = row.plan.predicted_seconds;
  }
  const std::string trace = arguments.value_or("--trace", "");
  std::vector<PolicyWorld> worlds;
  if (unlike.has_value()) {
    const Slowdowns slowdowns = SlowdownsOf(unlike->stragglers, topology);
    for (const Row& row : rows) {
      worlds.push_back({row.policy, row.plan.predicted_seconds,
                        SimulateWorld({graph, row.plan, costs, topology, layout, o.model, batch,
                                       unlike->rows.get(), slowdowns, unlike->traced_ranks})});
    }
    if (!trace.empty()) {
      WEFT_RETURN_IF_ERROR(
          WriteWorldTrace(trace, graph, rows.back().plan, topology, *unlike, worlds.back().step));
    }
  } else if (!trace.empty()) {
    WEFT_RETURN_IF_ERROR(WriteTrace(trace, graph, rows.back(), costs, topology));
  }
  const MemoryEstimate memory = EstimateMemory(o.model, topology, layout, batch, RankId{0});
  if (!arguments.has("--json")) {
    return absl::StrCat(
        unlike.has_value() ? WorldTable(*unlike, topology, worlds) : Table(rows, reference),
        Footnote(o.model, layout, memory, unlike.has_value()));
  }
  nlohmann::json json;
  json["cluster"] = machine.name;
  json["ranks"] = topology.world_size;
  json["parameters"] = CountParameters(o.model);
  json["layout"] = {{"edp", layout.edp},
                    {"ep", layout.ep},
                    {"esp", layout.esp},
                    {"mp", layout.mp},
                    {"zero_stage", layout.zero_stage}};
  json["memory_bytes"] = memory.total();
  for (size_t i = 0; i < rows.size(); ++i) {
    const Row& row = rows[i];
    json["policies"][row.policy] = {{"seconds", row.plan.predicted_seconds},
                                    {"speedup", reference / row.plan.predicted_seconds},
                                    {"over_bound", row.plan.predicted_seconds / row.bound},
                                    {"tasks", row.plan.tasks.size()}};
    if (unlike.has_value()) json["policies"][row.policy]["world"] = WorldJson(topology, worlds[i]);
  }
  if (unlike.has_value()) json["load"] = unlike->load;
  return absl::StrCat(json.dump(2), "\n");
}

}  // namespace weft
