#include "tests/scheduler/step_graph_builder.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "scheduler/analytic_cost_model.h"

namespace weft {
namespace {

class Builder {
 public:
  explicit Builder(const TestModel& model) : model_(model) {
    graph_.num_layers = model.layers;
    graph_.micro_batches = model.micro_batches;
    graph_.sequences = model.sequences;
    graph_.block_pieces = model.sequences;
  }

  StepGraph Run() {
    std::vector<OpId> ready_gradients;  // the last operation of every gradient
    OpId previous;
    for (int32_t micro_batch = 0; micro_batch < model_.micro_batches; ++micro_batch) {
      micro_batch_ = micro_batch;
      previous = Compute(OpKind::kEmbedding, Direction::kForward, -1, 1e5, {previous});
      for (int32_t layer = 0; layer < model_.layers; ++layer) previous = Forward(layer, previous);
      previous =
          Compute(OpKind::kHead, Direction::kForward, -1, model_.attention_flops, {previous});
      previous =
          Compute(OpKind::kHead, Direction::kBackward, -1, model_.attention_flops, {previous});
      for (int32_t layer = model_.layers - 1; layer >= 0; --layer) {
        previous = Backward(layer, previous, ready_gradients);
      }
      previous = Compute(OpKind::kEmbedding, Direction::kBackward, -1, 1e5, {previous});
    }
    Gradient(-1, {previous}, ready_gradients);
    ready_gradients.push_back(previous);
    const OpId norm = Compute(OpKind::kGradNorm, Direction::kNone, -1, 1e5, ready_gradients);
    Compute(OpKind::kOptimizer, Direction::kNone, -1, 1e6, {norm});
    return graph_;
  }

 private:
  OpId Add(Op op, std::vector<OpId> needs) {
    std::sort(needs.begin(), needs.end());
    needs.erase(std::unique(needs.begin(), needs.end()), needs.end());
    needs.erase(std::remove_if(needs.begin(), needs.end(), [](OpId id) { return !id.valid(); }),
                needs.end());
    op.id = OpId{static_cast<int32_t>(graph_.ops.size())};
    op.micro_batch = micro_batch_;
    op.needs = std::move(needs);
    graph_.ops.push_back(op);
    return op.id;
  }

  OpId Compute(OpKind kind, Direction direction, int32_t layer, double size,
               const std::vector<OpId>& needs, Cut cut = Cut::kWhole) {
    Op op;
    op.key = CostKey{kind, direction, GroupKind::kNone, 1, LinkClass::kNone, DType::kF32, 77};
    op.layer = layer;
    op.cut = cut;
    op.size = size;
    return Add(op, needs);
  }

  OpId Communicate(OpKind kind, Direction direction, int32_t layer, double bytes, bool inter,
                   GroupKind group, Cut cut, const std::vector<OpId>& needs) {
    Op op;
    const bool across = inter && model_.nodes > 1;
    op.key = CostKey{kind,
                     direction,
                     group,
                     inter ? model_.nodes : model_.ranks_per_node,
                     across ? LinkClass::kInterNode : LinkClass::kIntraNode,
                     DType::kF32,
                     0};
    op.stream = inter ? StreamKind::kInter : StreamKind::kIntra;
    op.layer = layer;
    op.cut = cut;
    op.size = bytes;
    op.elements = cut == Cut::kSlices ? static_cast<int64_t>(bytes / 4) : 0;
    return Add(op, needs);
  }

  Cut BlockCut() const { return model_.cut_blocks ? Cut::kEither : Cut::kWhole; }
  OpId Block(OpKind kind, Direction direction, int32_t layer, double size,
             const std::vector<OpId>& needs) {
    return Compute(kind, direction, layer, size, needs, BlockCut());
  }

  bool alone() const { return model_.nodes * model_.ranks_per_node == 1; }

  // dispatch -> gather -> expert -> scatter -> combine, whichever the layout has.
  OpId Pipeline(Direction direction, int32_t layer, OpId previous, double flops, OpId& expert) {
    const auto send = [&](OpKind kind) {
      if (alone()) return;
      previous = Communicate(kind, direction, layer, model_.dispatch_bytes, true, GroupKind::kEp,
                             Cut::kChunks, {previous});
    };
    const auto share = [&](OpKind kind) {
      if (model_.esp < 2) return;
      previous = Communicate(kind, direction, layer, model_.dispatch_bytes * (model_.esp - 1),
                             false, GroupKind::kEsp, Cut::kChunks, {previous});
    };
    send(OpKind::kDispatch);
    share(OpKind::kEspAllGather);
    expert = previous = Compute(OpKind::kExpert, direction, layer, flops, {previous}, Cut::kChunks);
    share(OpKind::kEspReduceScatter);
    send(OpKind::kCombine);
    return previous;
  }

  bool is_moe(int32_t layer) const { return (layer + 1) % model_.moe_every == 0; }

  OpId Forward(int32_t layer, OpId previous) {
    const Direction fwd = Direction::kForward;
    previous = Block(OpKind::kAttention, fwd, layer, model_.attention_flops, {previous});
    if (!is_moe(layer)) {
      return Block(OpKind::kDenseFfn, fwd, layer, model_.expert_flops, {previous});
    }
    previous = Block(OpKind::kRouter, fwd, layer, 1e6, {previous});
    const OpId routed = previous;
    if (!alone()) {
      previous = Communicate(OpKind::kCountsAllToAll, fwd, layer, 64, true, GroupKind::kEp,
                             BlockCut(), {previous});
      if (model_.esp > 1) {
        previous = Communicate(OpKind::kCountsAllGather, fwd, layer, 64, false, GroupKind::kEsp,
                               BlockCut(), {previous});
      }
    }
    OpId expert;
    previous = Pipeline(fwd, layer, previous, model_.expert_flops, expert);
    return Block(OpKind::kUnpermute, fwd, layer, 1e5, {routed, previous});
  }

  OpId Backward(int32_t layer, OpId previous, std::vector<OpId>& ready) {
    const Direction bwd = Direction::kBackward;
    if (!is_moe(layer)) {
      previous = Block(OpKind::kDenseFfn, bwd, layer, 2 * model_.expert_flops, {previous});
    } else {
      previous = Block(OpKind::kUnpermute, bwd, layer, 1e5, {previous});
      OpId expert;
      previous = Pipeline(bwd, layer, previous, model_.expert_flops, expert);
      const OpId wgrad = Compute(OpKind::kExpertWgrad, bwd, layer, model_.expert_flops, {expert},
                                 model_.cut_wgrads ? Cut::kEither : Cut::kWhole);
      ready.push_back(wgrad);
      if (model_.edp > 1 && last()) {
        ready.push_back(Communicate(OpKind::kExpertGradAllReduce, bwd, layer,
                                    4.0 * static_cast<double>(model_.gradient_elements), true,
                                    GroupKind::kEdp, Cut::kSlices, {wgrad}));
      }
      previous = Block(OpKind::kRouter, bwd, layer, 2e6, {previous});
    }
    previous = Block(OpKind::kAttention, bwd, layer, 2 * model_.attention_flops, {previous});
    if (last()) Gradient(layer, {previous}, ready);
    return previous;
  }

  bool last() const { return micro_batch_ + 1 == model_.micro_batches; }

  void Gradient(int32_t layer, std::vector<OpId> needs, std::vector<OpId>& ready) {
    const double bytes = 4.0 * static_cast<double>(model_.gradient_elements);
    const auto reduce = [&](OpKind kind, bool inter, GroupKind group) {
      needs = {
          Communicate(kind, Direction::kBackward, layer, bytes, inter, group, Cut::kSlices, needs)};
    };
    const bool intra = model_.ranks_per_node > 1;
    if (intra) reduce(OpKind::kGradReduceScatter, false, GroupKind::kIntra);
    if (model_.nodes > 1) reduce(OpKind::kGradAllReduce, true, GroupKind::kInter);
    if (intra) reduce(OpKind::kGradAllGather, false, GroupKind::kIntra);
    ready.push_back(needs.front());
  }

  const TestModel& model_;
  StepGraph graph_;
  int32_t micro_batch_ = 0;
};

}  // namespace

StepGraph BuildTestGraph(const TestModel& model) { return Builder(model).Run(); }

TestModel RandomModel(const CounterRng& random, uint64_t draw) {
  const auto from = [&](std::vector<int32_t> values) {
    return values[random.Bits(draw++) % values.size()];
  };
  const auto scaled = [&](double middle) {
    return middle * std::pow(10, 2 * random.Uniform(draw++) - 1);
  };
  TestModel model;
  model.layers = from({1, 2, 3, 5});
  model.moe_every = from({1, 1, 2});
  model.micro_batches = from({1, 1, 2, 3});
  model.nodes = from({1, 2, 4});
  model.ranks_per_node = from({1, 2, 4});
  model.esp = from({1, model.ranks_per_node});
  model.edp = from({1, 1, 2});
  model.dispatch_bytes = scaled(model.dispatch_bytes);
  model.expert_flops = scaled(model.expert_flops);
  model.attention_flops = scaled(model.attention_flops);
  model.gradient_elements = static_cast<int64_t>(scaled(1e6));
  return model;
}

TestModel RandomBlockModel(const CounterRng& random, uint64_t draw) {
  TestModel model = RandomModel(random, draw + 1);
  const uint64_t bits = random.Bits(draw);
  model.sequences = static_cast<int32_t>(bits % 5) + 1;
  model.cut_blocks = bits / 5 % 4 != 0;
  model.cut_wgrads = bits / 20 % 2 != 0;
  return model;
}

std::shared_ptr<const CostModel> BalancedCosts() {
  MachineSpeeds speeds;
  speeds.intra = {100e-6, 1e9};
  speeds.inter = {200e-6, 1e9};
  speeds.flops = 1e11;
  speeds.launch = 20e-6;
  return std::make_shared<AnalyticCostModel>(speeds);
}

PlanRequest RequestFor(const StepGraph& graph, const CostModel& costs) {
  PlanRequest request;
  request.graph = &graph;
  request.costs = &costs;
  return request;
}

}  // namespace weft
