#include "scheduler/placement/placement_terms.h"

#include <algorithm>

namespace weft {
namespace {

// What an operation of half of its size more costs, per size.
double Marginal(const CostModel& costs, const Op& op) {
  if (op.size <= 0) return 0;
  const double more = costs.Estimate(op.key, 1.5 * op.size).seconds;
  const double less = costs.Estimate(op.key, 0.5 * op.size).seconds;
  return (more - less) / op.size;
}

}  // namespace

FollowLoad PlacementTerms(const StepGraph& graph, const CostModel& costs, double rows,
                          double sent_rows, double exposed) {
  FollowLoad terms;
  const auto first =
      std::find_if(graph.ops.begin(), graph.ops.end(), [](const Op& op) { return op.away; });
  if (first == graph.ops.end()) return terms;
  for (const Op& op : graph.ops) {
    if (op.layer != first->layer || op.micro_batch != 0) continue;
    const double seconds = Marginal(costs, op) * op.size;
    switch (op.key.kind) {
      case OpKind::kExpert:
      case OpKind::kExpertWgrad:
        if (rows > 0) terms.row_seconds += seconds / rows;
        break;
      case OpKind::kDispatch:
      case OpKind::kCombine:
        if (sent_rows > 0 && op.RunsUnder(AllToAllAlgorithm::kDirect))
          terms.far_row_seconds += exposed * seconds / sent_rows;
        break;
      case OpKind::kExpertWeights:
      case OpKind::kExpertGradReturn:
        terms.move_seconds += exposed * seconds;
        break;
      default:
        break;
    }
  }
  return terms;
}

}  // namespace weft
