#include "profiler/routed_load.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace weft {
namespace {

// Operations whose size depends on the router: the pipeline and its weight gradients.
bool IsRouted(const Op& op) {
  return op.cut == Cut::kChunks || op.key.kind == OpKind::kExpertWgrad;
}

}  // namespace

RoutedLoad::RoutedLoad(double half_life_steps) : keep_(std::exp2(-1 / half_life_steps)) {
  WEFT_CHECK(half_life_steps > 0, "a half-life is positive");
}

void RoutedLoad::Record(const StepGraph& graph, const Plan& plan, const MergedStep& step) {
  std::vector<double> busiest(graph.ops.size(), 0);
  for (const std::vector<TaskInterval>& rank : step.by_rank) {
    std::vector<double> sizes(graph.ops.size(), 0);
    for (const TaskInterval& task : rank) {
      sizes[static_cast<size_t>(plan.tasks[static_cast<size_t>(task.task)].op.value)] += task.size;
    }
    for (size_t op = 0; op < sizes.size(); ++op) busiest[op] = std::max(busiest[op], sizes[op]);
  }
  means_.resize(graph.ops.size(), 0);
  for (size_t op = 0; op < means_.size(); ++op) means_[op] = means_[op] * keep_ + busiest[op];
  weight_ = weight_ * keep_ + 1;
}

StepGraph RoutedLoad::Apply(const StepGraph& graph) const {
  StepGraph loaded = graph;
  if (weight_ == 0) return loaded;
  for (Op& op : loaded.ops) {
    if (IsRouted(op)) op.size = means_[static_cast<size_t>(op.id.value)] / weight_;
  }
  return loaded;
}

}  // namespace weft
