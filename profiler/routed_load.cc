#include "profiler/routed_load.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

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
  means_.resize(graph.ops.size());
  for (const Op& op : graph.ops) {
    if (!Has(plan, op)) continue;
    const auto i = static_cast<size_t>(op.id.value);
    means_[i].sum = means_[i].sum * keep_ + busiest[i];
    means_[i].weight = means_[i].weight * keep_ + 1;
  }
}

StepGraph RoutedLoad::Apply(const StepGraph& graph) const {
  StepGraph loaded = graph;
  if (means_.empty()) return loaded;
  using Likes = std::tuple<OpKind, int32_t, Direction, int32_t>;
  const auto likes = [](const Op& op) {
    return Likes(op.key.kind, op.layer, op.direction(), op.micro_batch);
  };
  struct Seen {
    double carried = 0, expected = 0;
  };
  std::map<Likes, Seen> seen;
  for (Op& op : loaded.ops) {
    const Mean& mean = means_[static_cast<size_t>(op.id.value)];
    if (!IsRouted(op) || mean.weight == 0) continue;
    Seen& of_kind = seen[likes(op)];
    of_kind.carried += mean.value();
    of_kind.expected += op.size;
    op.size = mean.value();
  }
  for (Op& op : loaded.ops) {
    if (!IsRouted(op) || means_[static_cast<size_t>(op.id.value)].weight > 0) continue;
    const auto of_kind = seen.find(likes(op));
    if (of_kind == seen.end() || of_kind->second.expected == 0) continue;
    op.size *= of_kind->second.carried / of_kind->second.expected;
  }
  return loaded;
}

}  // namespace weft
