#pragma once

#include <array>
#include <vector>

#include "graph/plan.h"
#include "graph/span.h"
#include "graph/step_graph.h"
#include "graph/topology.h"

// Four ranks on two nodes: EP groups {0, 2} and {1, 3} cross the nodes, ESP groups {0, 1} and {2,
// 3} stay inside. One layer: attention, a dispatch in two chunks, an ESP all-gather, an expert.

namespace weft {

struct TwoNodes {
  Topology topology{4, 2};
  Layout layout{1, 2, 2};
  StepGraph graph;
  Plan plan;

  // Indices into plan.tasks.
  enum Task : int32_t { kAttention, kDispatch0, kDispatch1, kGather, kExpert, kNumTasks };

  TwoNodes() {
    graph.num_layers = 1;
    const auto add = [&](OpKind kind, GroupKind group, int32_t group_size, LinkClass link,
                         StreamKind stream, Cut cut) {
      Op op;
      op.id = OpId{static_cast<int32_t>(graph.ops.size())};
      op.key = {kind, Direction::kForward, group, group_size, link, DType::kF32, 0};
      op.stream = stream;
      op.layer = 0;
      op.cut = cut;
      op.size = 1000;
      if (op.id.value > 0) op.needs = {OpId{op.id.value - 1}};
      graph.ops.push_back(op);
    };
    add(OpKind::kAttention, GroupKind::kNone, 1, LinkClass::kNone, StreamKind::kCompute,
        Cut::kWhole);
    add(OpKind::kDispatch, GroupKind::kEp, 2, LinkClass::kInterNode, StreamKind::kInter,
        Cut::kChunks);
    add(OpKind::kEspAllGather, GroupKind::kEsp, 2, LinkClass::kIntraNode, StreamKind::kIntra,
        Cut::kWhole);
    add(OpKind::kExpert, GroupKind::kNone, 1, LinkClass::kNone, StreamKind::kCompute, Cut::kWhole);
    plan.epoch = 3;
    for (const auto& [op, chunk, num_chunks] :
         {std::array{0, 0, 1}, {1, 0, 2}, {1, 1, 2}, {2, 0, 1}, {3, 0, 1}}) {
      PlanTask task;
      task.op = OpId{op};
      task.chunk = chunk;
      task.num_chunks = num_chunks;
      plan.tasks.push_back(task);
    }
  }

  Span MakeSpan(int32_t rank, int32_t task, int64_t begin, int64_t end, double size = 1000) const {
    return {kStep, plan.epoch, rank, task, begin, end, size};
  }

  // Each rank's clock starts elsewhere. Every task takes 100 ns on every rank, one after the other.
  std::vector<Trace> Even() const {
    std::vector<Trace> by_rank(4);
    for (int32_t rank = 0; rank < 4; ++rank) {
      for (int32_t task = 0; task < kNumTasks; ++task) {
        const int64_t begin = 1'000'000 * rank + 100 * task;
        by_rank[static_cast<size_t>(rank)].push_back(MakeSpan(rank, task, begin, begin + 100));
      }
    }
    return by_rank;
  }

  static constexpr int64_t kStep = 7;
};

}  // namespace weft
