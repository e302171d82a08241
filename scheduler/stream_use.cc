#include "scheduler/stream_use.h"

#include <algorithm>
#include <cstdint>
#include <tuple>
#include <vector>

namespace weft {

StreamUse StreamUseOf(const StepGraph& graph, const Plan& plan, const Trace& trace) {
  struct Edge {
    int64_t nanos;
    int change;  // +1 begins, -1 ends
    size_t stream;
  };
  std::vector<Edge> edges;
  for (const Span& span : trace) {
    const Op& op = graph.op(plan.tasks[static_cast<size_t>(span.task)].op);
    edges.push_back(Edge{span.begin_nanos, 1, static_cast<size_t>(op.stream)});
    edges.push_back(Edge{span.end_nanos, -1, static_cast<size_t>(op.stream)});
  }
  std::sort(edges.begin(), edges.end(), [](const Edge& a, const Edge& b) {
    return std::tie(a.nanos, a.change, a.stream) < std::tie(b.nanos, b.change, b.stream);
  });
  StreamUse overlap;
  std::array<int, kNumStreams> running = {};
  for (size_t i = 0; i + 1 < edges.size(); ++i) {
    running[edges[i].stream] += edges[i].change;
    const double seconds = static_cast<double>(edges[i + 1].nanos - edges[i].nanos) * 1e-9;
    const bool compute = running[static_cast<size_t>(StreamKind::kCompute)] > 0;
    const bool communication = running[static_cast<size_t>(StreamKind::kIntra)] > 0 ||
                               running[static_cast<size_t>(StreamKind::kInter)] > 0;
    for (size_t stream = 0; stream < kNumStreams; ++stream) {
      if (running[stream] > 0) overlap.busy[stream] += seconds;
    }
    if (communication) overlap.communication += seconds;
    if (communication && !compute) overlap.exposed += seconds;
    if (!communication && !compute) overlap.idle += seconds;
    overlap.makespan += seconds;
  }
  return overlap;
}

}  // namespace weft
