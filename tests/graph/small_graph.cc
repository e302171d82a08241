#include "tests/graph/small_graph.h"

namespace weft {
namespace {

Op MakeOp(int32_t id, OpKind kind, StreamKind stream, Cut cut, std::vector<OpId> needs) {
  Op op;
  op.id = OpId{id};
  op.key.kind = kind;
  op.key.direction = Direction::kBackward;
  op.stream = stream;
  op.layer = 0;
  op.cut = cut;
  op.size = 100.0 * (id + 1);
  op.elements = cut == Cut::kSlices ? 1000 : 0;
  op.needs = std::move(needs);
  return op;
}

}  // namespace

StepGraph SmallGraph() {
  StepGraph graph;
  graph.num_layers = 1;
  graph.ops = {
      MakeOp(0, OpKind::kRouter, StreamKind::kCompute, Cut::kWhole, {}),
      MakeOp(1, OpKind::kDispatch, StreamKind::kInter, Cut::kChunks, {OpId{0}}),
      MakeOp(2, OpKind::kExpert, StreamKind::kCompute, Cut::kChunks, {OpId{0}, OpId{1}}),
      MakeOp(3, OpKind::kCombine, StreamKind::kInter, Cut::kChunks, {OpId{2}}),
      MakeOp(4, OpKind::kGradReduceScatter, StreamKind::kIntra, Cut::kSlices, {OpId{0}}),
      MakeOp(5, OpKind::kGradAllReduce, StreamKind::kInter, Cut::kSlices, {OpId{4}}),
      MakeOp(6, OpKind::kOptimizer, StreamKind::kCompute, Cut::kWhole, {OpId{3}, OpId{5}}),
  };
  return graph;
}

Plan SmallPlan() {
  Plan plan;
  plan.epoch = 3;
  plan.graph_fingerprint = FingerprintOf(SmallGraph());
  plan.policy = "weft";
  plan.sm_limit = 16;
  plan.degrees = {{0, Direction::kBackward, 2}};
  const auto chunk = [](int32_t op, int32_t i) { return PlanTask{OpId{op}, i, 2, 0, 0, 0, 0}; };
  const auto slice = [](int32_t op, int64_t begin, int64_t end) {
    return PlanTask{OpId{op}, 0, 1, begin, end, 0, 0};
  };
  plan.tasks = {PlanTask{OpId{0}, 0, 1, 0, 0, 0, 0},
                chunk(1, 0),
                chunk(1, 1),
                slice(4, 0, 600),
                chunk(2, 0),
                chunk(2, 1),
                slice(5, 0, 600),
                slice(4, 600, 1000),
                chunk(3, 0),
                chunk(3, 1),
                slice(5, 600, 1000),
                PlanTask{OpId{6}, 0, 1, 0, 0, 0, 0}};
  double now = 0;
  for (PlanTask& task : plan.tasks) {
    task.predicted_begin = now;
    task.predicted_seconds = 0.1 / 3;
    now += task.predicted_seconds;
  }
  plan.predicted_seconds = now;
  return plan;
}

}  // namespace weft
