#include "graph/fixed_plan.h"

#include <set>
#include <utility>

namespace weft {

Plan MakeFixedPlan(const StepGraph& graph, const FixedPlanOptions& options) {
  Plan plan;
  plan.graph_fingerprint = FingerprintOf(graph);
  plan.policy = "fixed";
  plan.streams = options.streams;
  plan.sm_limit = options.sm_limit;
  plan.placements = options.placements;
  plan.numerics = NumericsOf(plan.placements);
  std::set<std::pair<int32_t, Direction>> pipelines;
  const auto degree_of = [&options](Direction d) {
    return d == Direction::kForward ? options.forward : options.backward;
  };
  if (options.all_to_all != AllToAllAlgorithm::kDirect) {
    for (const int32_t layer : LayersWithChoice(graph))
      plan.all_to_alls.push_back({layer, options.all_to_all});
  }
  for (const Op& op : graph.ops) {
    if (!Has(plan, op)) continue;
    PlanTask task;
    task.op = op.id;
    const int32_t degree = degree_of(op.direction());
    const bool cut_block = options.cut_blocks && degree <= graph.block_pieces;
    switch (op.cut) {
      case Cut::kWhole:
        plan.tasks.push_back(task);
        break;
      case Cut::kEither:
        task.num_chunks = cut_block && !IsWeightGradient(op.key.kind) ? degree : 1;
        for (task.chunk = 0; task.chunk < task.num_chunks; ++task.chunk) plan.tasks.push_back(task);
        break;
      case Cut::kChunks:
        pipelines.insert({op.layer, op.direction()});
        task.num_chunks = degree;
        for (task.chunk = 0; task.chunk < task.num_chunks; ++task.chunk) plan.tasks.push_back(task);
        break;
      case Cut::kSlices:
        for (int32_t i = 0; i < options.slices; ++i) {
          task.begin = op.elements * i / options.slices;
          task.end = op.elements * (i + 1) / options.slices;
          if (task.begin < task.end) plan.tasks.push_back(task);
        }
        break;
    }
  }
  for (const auto& [layer, direction] : pipelines)
    plan.degrees.push_back({layer, direction, degree_of(direction)});
  return plan;
}

}  // namespace weft
