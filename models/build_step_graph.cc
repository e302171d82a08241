#include "models/build_step_graph.h"

#include <algorithm>
#include <map>
#include <optional>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/fingerprint.h"
#include "comm/hierarchy/exchange_outline.h"
#include "models/layer_cut.h"
#include "models/moe/ep_shape.h"
#include "models/op_sizes.h"
#include "models/parameters.h"

namespace weft {
namespace {

// The step reduction gathers six doubles a rank, twelve elements of 4 bytes, and what every expert
// of every layer got.
constexpr int64_t kStepReductionElements = 12;

// Whose members a step of an all-to-all other than direct connects.
GroupKind GroupOfTier(ExchangeTier tier) {
  switch (tier) {
    case ExchangeTier::kIntraNode:
      return GroupKind::kEpNode;
    case ExchangeTier::kInterNode:
      return GroupKind::kEpPeers;
    case ExchangeTier::kGroup:
      return GroupKind::kEpAcross;
  }
  WEFT_CHECK(false, "a tier");
}

class Builder {
 public:
  Builder(const ModelSpec& spec, const Topology& topology, const Layout& layout,
          const BatchShape& batch, StepKind kind)
      : spec_(spec),
        topology_(topology),
        layout_(layout),
        batch_(batch),
        kind_(kind),
        catalog_(MakeParameterCatalog(spec, layout, RankId{0})) {
    graph_.num_layers = spec.num_layers;
    graph_.experts = spec.moe.num_experts;
    graph_.ep = layout.ep;
    graph_.esp = layout.esp;
    graph_.sequences = static_cast<int32_t>(batch.sequences);
    graph_.block_pieces = BlockPieces(batch);
    graph_.micro_batches = kind == StepKind::kTraining ? batch.micro_batches : 1;
    shape_of_ep_ = EpShape(topology, layout, RankId{0});
    for (int32_t j = 0; layout.edp > 1 && j < layout.esp; ++j)
      shards_.push_back(MakeParameterCatalog(spec, layout, RankId{j}));
    rows_ = batch.tokens() * spec.moe.top_k;
    hidden_units_ = (spec.ffn_hidden_size + layout.esp - 1) / layout.esp;
    shape_ = Fingerprint(absl::StrCat(
        spec.hidden_size, "/", spec.ffn_hidden_size, "/", hidden_units_, "/",
        spec.num_heads / layout.mp, "/", spec.num_kv_heads / layout.mp, "/", spec.vocab_size, "/",
        batch.length, "/", spec.moe.num_experts, "/", spec.moe.top_k, "/",
        static_cast<int>(spec.backbone),
        spec.moe.shared_experts > 0 ? absl::StrCat("/shared ", spec.moe.shared_experts) : ""));
  }

  StepGraph Build() {
    for (int32_t m = 0; m < graph_.micro_batches; ++m) {
      micro_batch_ = m;
      // Micro-batches share their activation buffers: the next starts when the last has read them
      // all.
      std::vector<OpId> start = finished_;
      finished_.clear();
      OpId last = Forward(start);
      if (kind_ == StepKind::kTraining) {
        Backward(last);
      } else {
        finished_ = {last};
      }
    }
    Finish();
    return std::move(graph_);
  }

 private:
  struct OpArgs {
    OpKind kind;
    Direction direction;
    StreamKind stream = StreamKind::kCompute;
    GroupKind group = GroupKind::kNone;
    int32_t layer = -1;
    double size = 0;
    Cut cut = Cut::kWhole;
    int64_t elements = 0;
    DType dtype = DType::kF32;  // of what a collective carries
    AlgorithmSet algorithms = kAnyAlgorithm;
    int32_t step = 0;
    bool away = false;
    bool heads = false;
    bool shards = false;
  };
  struct Group {
    int32_t size = 1;
    LinkClass link = LinkClass::kNone;
  };

  OpId Add(const OpArgs& args, std::vector<OpId> needs) {
    Op op;
    op.id = OpId{static_cast<int32_t>(graph_.ops.size())};
    op.key.kind = args.kind;
    op.key.direction = args.direction;
    op.key.group = args.group;
    if (args.group != GroupKind::kNone) {
      op.key.group_size = Rank0sGroup(args.group).size;
      op.key.link = Rank0sGroup(args.group).link;
      op.key.dtype = args.dtype;
    } else {
      op.key.shape_class = shape_;
      op.key.dtype = spec_.dtype();
    }
    op.stream = args.stream;
    op.layer = args.layer;
    op.micro_batch = micro_batch_;
    op.cut = args.cut;
    op.size = args.size;
    op.elements = args.elements;
    op.algorithms = args.algorithms;
    op.step = args.step;
    op.away = args.away;
    op.shards = args.shards;
    op.heads = args.heads;
    std::sort(needs.begin(), needs.end());
    op.needs = std::move(needs);
    graph_.ops.push_back(std::move(op));
    return graph_.ops.back().id;
  }

  OpId Forward(std::vector<OpId> start) {
    // A layer's parameters one layer ahead, so that even plans that keep this order hide them.
    FetchParameters(-1);
    if (spec_.num_layers > 0) FetchParameters(0);
    OpId last =
        Add({.kind = OpKind::kEmbedding, .direction = Direction::kForward, .size = Elements()},
            WithParameters(-1, std::move(start)));
    for (int32_t layer = 0; layer < spec_.num_layers; ++layer) {
      if (layer + 1 < spec_.num_layers) FetchParameters(layer + 1);
      if (micro_batch_ == 0 && ExpertsCanMove(layer)) FetchExperts(layer);
      if (micro_batch_ == 0 && ShardsCanMeet(layer)) GatherShards(layer);
      last = Attention(layer, Direction::kForward, last).end;
      last = spec_.is_moe_layer(layer) ? MoeForward(layer, last) : DenseForward(layer, last);
    }
    return Add({.kind = OpKind::kHead,
                .direction = Direction::kForward,
                .size = HeadFlops(spec_, batch_, false)},
               {last});
  }

  // Validation runs with all experts at home.
  bool ExpertsCanMove(int32_t layer) const {
    return kind_ == StepKind::kTraining && layout_.ep > 1 && spec_.is_moe_layer(layer);
  }
  OpId MoveExperts(OpKind kind, Direction direction, int32_t layer, std::vector<OpId> needs) {
    const DType dtype = kind == OpKind::kExpertWeights ? spec_.dtype() : DType::kF32;
    const int64_t expert =
        ExpertElements(layer) / ExpertsOf(spec_.moe.num_experts, layout_.ep, 0).count;
    return Add({.kind = kind,
                .direction = direction,
                .stream = StreamOf(GroupKind::kEp),
                .group = GroupKind::kEp,
                .layer = layer,
                .size = AllToAllBytes(expert, dtype),
                .dtype = dtype,
                .away = true},
               std::move(needs));
  }
  // The weights of experts that work away from home: there from the start of the step, wanted by
  // the layer's experts.
  void FetchExperts(int32_t layer) {
    fetched_[layer] =
        MoveExperts(OpKind::kExpertWeights, Direction::kForward, layer, GatheredExperts(layer));
  }

  bool ShardsCanMeet(int32_t layer) const {
    return kind_ == StepKind::kTraining && layout_.esp > 1 && spec_.is_moe_layer(layer);
  }
  OpId ExchangeExpertShardsOf(OpKind kind, Direction direction, int32_t layer,
                              std::vector<OpId> needs) {
    const DType dtype = kind == OpKind::kExpertShardGather ? spec_.dtype() : DType::kF32;
    return Add({.kind = kind,
                .direction = direction,
                .stream = StreamOf(GroupKind::kEsp),
                .group = GroupKind::kEsp,
                .layer = layer,
                .size = AllGatherBytes(ExpertElements(layer), 2, dtype),
                .dtype = dtype,
                .shards = true},
               std::move(needs));
  }
  // Shards of other ranks: there from the start of the step, wanted by the layer's experts.
  void GatherShards(int32_t layer) {
    met_[layer] = ExchangeExpertShardsOf(OpKind::kExpertShardGather, Direction::kForward, layer,
                                         GatheredExperts(layer));
  }

  // What a layer's experts wait for before their parameters are used.
  std::vector<OpId> GatheredExperts(int32_t layer) const {
    const auto gathered = gathered_experts_.find(layer);
    return gathered == gathered_experts_.end() ? std::vector<OpId>{}
                                               : std::vector<OpId>{gathered->second};
  }

  // In a layer with a pipeline, what stands beside it can enter it.
  Cut BlockCut(int32_t layer) const {
    return spec_.is_moe_layer(layer) ? Cut::kEither : Cut::kWhole;
  }

  struct AttentionOps {
    OpId products, end;
  };
  // With MP between an all-gather of its input and a reduce-scatter of its partial sums: this
  // rank's heads for all members' tokens are as many FLOPs as all heads for its own.
  AttentionOps Attention(int32_t layer, Direction direction, OpId last) {
    const int64_t own = batch_.tokens() * spec_.hidden_size;
    const auto share = [&](OpKind kind, double size) {
      if (layout_.mp == 1) return last;
      return Add({.kind = kind,
                  .direction = direction,
                  .stream = StreamKind::kIntra,
                  .group = GroupKind::kMp,
                  .layer = layer,
                  .size = size,
                  .cut = BlockCut(layer),
                  .dtype = spec_.dtype()},
                 {last});
    };
    last = share(OpKind::kMpAllGather, AllGatherBytes(own, layout_.mp, spec_.dtype()));
    last = Add(
        {.kind = OpKind::kAttention,
         .direction = direction,
         .layer = layer,
         .size = AttentionFlops(spec_, batch_, {0, batch_.tokens()}, direction),
         .cut = BlockCut(layer)},
        direction == Direction::kForward ? WithParameters(layer, {last}) : std::vector<OpId>{last});
    const OpId products = last;
    last =
        share(OpKind::kMpReduceScatter, ReduceScatterBytes(layout_.mp * own, own, spec_.dtype()));
    return {products, last};
  }

  OpId DenseForward(int32_t layer, OpId last) {
    return Add({.kind = OpKind::kDenseFfn,
                .direction = Direction::kForward,
                .layer = layer,
                .size = DenseFfnFlops(spec_, batch_, false)},
               {last});
  }

  OpId MoeForward(int32_t layer, OpId last) {
    last = Add({.kind = OpKind::kRouter,
                .direction = Direction::kForward,
                .layer = layer,
                .size = Elements(),
                .cut = Cut::kEither},
               {last});
    const OpId routed = last;
    const std::vector<OpId> counted = ExchangeCounts(layer, routed);
    const std::optional<OpId> shared = SharedExpert(layer, Direction::kForward, routed);
    std::vector<OpId> back = Pipeline(layer, Direction::kForward, counted);
    if (shared.has_value()) back.push_back(*shared);
    return Add({.kind = OpKind::kUnpermute,
                .direction = Direction::kForward,
                .layer = layer,
                .size = Elements(),
                .cut = Cut::kEither},
               back);
  }

  // Beside the pipeline: it needs no row of another rank.
  std::optional<OpId> SharedExpert(int32_t layer, Direction direction, OpId last) {
    if (spec_.moe.shared_experts == 0) return std::nullopt;
    return Add({.kind = OpKind::kSharedExpert,
                .direction = direction,
                .layer = layer,
                .size = SharedExpertFlops(spec_, batch_.tokens()),
                .cut = Cut::kEither},
               {last});
  }

  // Returns what says the sizes of all chunks: the operations that end last.
  std::vector<OpId> ExchangeCounts(int32_t layer, OpId last) {
    const int32_t experts = spec_.moe.num_experts;
    const auto counts = [&](OpKind kind, GroupKind group, double size, AlgorithmSet algorithms,
                            std::vector<OpId> needs) {
      return Add({.kind = kind,
                  .direction = Direction::kForward,
                  .stream = StreamOf(group),
                  .group = group,
                  .layer = layer,
                  .size = size,
                  .cut = Cut::kEither,
                  .algorithms = algorithms},
                 std::move(needs));
    };
    std::vector<OpId> known = {last};
    if (layout_.ep > 1) {
      known = {counts(OpKind::kCountsAllToAll, GroupKind::kEp,
                      AllToAllBytes(experts - experts / layout_.ep), kAnyAlgorithm, known)};
    }
    if (!shape_of_ep_.flat()) {
      const auto passing_on =
          static_cast<AlgorithmSet>(Only(AllToAllAlgorithm::k2DH) | Only(AllToAllAlgorithm::k1DH));
      known.push_back(counts(OpKind::kCountsNodeGather, GroupKind::kEpNode,
                             AllGatherBytes(2 * experts, shape_of_ep_.members_per_node), passing_on,
                             known));
    }
    if (layout_.esp > 1) {
      const int64_t own = int64_t{layout_.ep} * ExpertsOf(experts, layout_.ep, 0).count;
      known = {counts(OpKind::kCountsAllGather, GroupKind::kEsp, AllGatherBytes(own, layout_.esp),
                      kAnyAlgorithm, known)};
    }
    return known;
  }

  // dispatch -> AllGather -> expert -> ReduceScatter -> combine; the backward runs the same
  // collectives. Returns what ends last; expert_ is left at the expert operation.
  std::vector<OpId> Pipeline(int32_t layer, Direction direction, std::vector<OpId> last) {
    const double gathered = AllGatherBytes(rows_ * spec_.hidden_size, layout_.esp, spec_.dtype());
    const auto chunks = [&](OpKind kind, StreamKind stream, GroupKind group, double size) {
      last = {Add({.kind = kind,
                   .direction = direction,
                   .stream = stream,
                   .group = group,
                   .layer = layer,
                   .size = size,
                   .cut = Cut::kChunks,
                   .dtype = spec_.dtype()},
                  last)};
    };
    last = Exchange(OpKind::kDispatch, layer, direction, last);
    if (layout_.esp > 1)
      chunks(OpKind::kEspAllGather, StreamKind::kIntra, GroupKind::kEsp, gathered);
    if (direction == Direction::kForward) {
      const std::vector<OpId> parameters = GatheredExperts(layer);
      last.insert(last.end(), parameters.begin(), parameters.end());
      const auto weights = fetched_.find(layer);
      if (weights != fetched_.end()) last.push_back(weights->second);
      const auto shards = met_.find(layer);
      if (shards != met_.end()) last.push_back(shards->second);
    }
    chunks(OpKind::kExpert, StreamKind::kCompute, GroupKind::kNone, ExpertSize());
    expert_ = last.front();
    if (layout_.esp > 1)
      chunks(OpKind::kEspReduceScatter, StreamKind::kIntra, GroupKind::kEsp, gathered);
    return Exchange(OpKind::kCombine, layer, direction, last);
  }

  // An all-to-all over EP, in every way there is. Returns what ends last, of each.
  std::vector<OpId> Exchange(OpKind kind, int32_t layer, Direction direction,
                             const std::vector<OpId>& needs) {
    if (layout_.ep == 1) return needs;
    const double pair = AllToAllBytes(rows_ * spec_.hidden_size, spec_.dtype()) / layout_.ep;
    std::vector<OpId> ends;
    for (const AllToAllAlgorithm algorithm : kAllToAllAlgorithms) {
      const bool direct = algorithm == AllToAllAlgorithm::kDirect;
      if (shape_of_ep_.flat() && !direct) continue;
      std::vector<OpId> last = needs;
      const std::span<const ExchangeStepOutline> steps = OutlineOf(algorithm, shape_of_ep_);
      for (size_t i = 0; i < steps.size(); ++i) {
        const GroupKind group = direct ? GroupKind::kEp : GroupOfTier(steps[i].tier);
        const ExchangeTraffic traffic = ExpectedTraffic(algorithm, shape_of_ep_, i, pair);
        const OpId step = Add({.kind = kind,
                               .direction = direction,
                               .stream = StreamOf(group),
                               .group = group,
                               .layer = layer,
                               .size = std::max(traffic.sent_bytes(), traffic.received_bytes),
                               .cut = Cut::kChunks,
                               .dtype = spec_.dtype(),
                               .algorithms = shape_of_ep_.flat() ? kAnyAlgorithm : Only(algorithm),
                               .step = static_cast<int32_t>(i)},
                              steps[i].independent ? needs : last);
        if (!steps[i].independent) last.clear();
        last.push_back(step);
      }
      ends.insert(ends.end(), last.begin(), last.end());
    }
    return ends;
  }

  void Backward(OpId last) {
    last = Add({.kind = OpKind::kHead,
                .direction = Direction::kBackward,
                .size = HeadFlops(spec_, batch_, true)},
               {last});
    for (int32_t layer = spec_.num_layers - 1; layer >= 0; --layer) {
      std::vector<OpId> wgrads;  // of dense parameters
      if (spec_.is_moe_layer(layer)) {
        last = MoeBackward(layer, last, wgrads);
      } else {
        last = Add({.kind = OpKind::kDenseFfn,
                    .direction = Direction::kBackward,
                    .layer = layer,
                    .size = DenseFfnFlops(spec_, batch_, true)},
                   {last});
      }
      const AttentionOps attention = Attention(layer, Direction::kBackward, last);
      last = attention.end;
      const OpId wgrad = Add({.kind = OpKind::kAttentionWgrad,
                              .direction = Direction::kBackward,
                              .layer = layer,
                              .size = AttentionWgradFlops(spec_, batch_)},
                             {attention.products});
      wgrads.push_back(wgrad);
      finished_.insert(finished_.end(), wgrads.begin(), wgrads.end());
      if (LastMicroBatch()) {
        ReduceGradient(layer, DenseElements(layer), std::move(wgrads));
        if (layout_.mp > 1) ReduceGradient(layer, HeadsElements(layer), {wgrad}, /*heads=*/true);
      }
    }
    last = Add({.kind = OpKind::kEmbedding, .direction = Direction::kBackward, .size = Elements()},
               {last});
    finished_.push_back(last);
    if (LastMicroBatch()) ReduceGradient(-1, catalog_.outer.elements, {last});
  }

  // Appends to wgrads, of dense parameters, what has to end beside the attention's.
  OpId MoeBackward(int32_t layer, OpId last, std::vector<OpId>& wgrads) {
    const OpId start = Add({.kind = OpKind::kUnpermute,
                            .direction = Direction::kBackward,
                            .layer = layer,
                            .size = Elements(),
                            .cut = Cut::kEither},
                           {last});
    const std::optional<OpId> shared = SharedExpert(layer, Direction::kBackward, start);
    std::vector<OpId> back = Pipeline(layer, Direction::kBackward, {start});
    const OpId wgrad = Add({.kind = OpKind::kExpertWgrad,
                            .direction = Direction::kBackward,
                            .layer = layer,
                            .size = ExpertSize()},
                           {expert_});
    finished_.push_back(wgrad);
    if (shared.has_value()) {
      wgrads.push_back(Add({.kind = OpKind::kSharedExpertWgrad,
                            .direction = Direction::kBackward,
                            .layer = layer,
                            .size = SharedExpertFlops(spec_, batch_.tokens())},
                           {*shared}));
      back.push_back(*shared);
    }
    if (LastMicroBatch()) {
      std::vector<OpId> summed = {wgrad};
      if (ExpertsCanMove(layer)) {
        summed.push_back(
            MoveExperts(OpKind::kExpertGradReturn, Direction::kBackward, layer, {wgrad}));
      }
      if (ShardsCanMeet(layer)) {
        summed.push_back(ExchangeExpertShardsOf(OpKind::kExpertShardReduce, Direction::kBackward,
                                                layer, {wgrad}));
      }
      gradients_.insert(gradients_.end(), summed.begin(), summed.end());
      if (layout_.edp > 1) gradients_.push_back(ReduceExpertGradient(layer, std::move(summed)));
    }
    return Add({.kind = OpKind::kRouter,
                .direction = Direction::kBackward,
                .layer = layer,
                .size = Elements(),
                .cut = Cut::kEither},
               back);
  }

  OpId ReduceExpertGradient(int32_t layer, std::vector<OpId> needs) {
    const int64_t elements = MostExpertElements(layer);
    if (layout_.zero_stage > 0) {
      return ExchangeExpertShards(layer, std::move(needs), Direction::kBackward);
    }
    return Add({.kind = OpKind::kExpertGradAllReduce,
                .direction = Direction::kBackward,
                .stream = StreamOf(GroupKind::kEdp),
                .group = GroupKind::kEdp,
                .layer = layer,
                .size = AllReduceBytes(elements, layout_.edp),
                .cut = Cut::kSlices,
                .elements = elements},
               std::move(needs));
  }

  // ZeRO-1 for experts, over the copies of an EP member wherever they are: gradients to who updates
  // them (backward), and what was updated in the last step (forward).
  OpId ExchangeExpertShards(int32_t layer, std::vector<OpId> needs, Direction direction) {
    const int64_t shard = (MostExpertElements(layer) + layout_.edp - 1) / layout_.edp;
    const DType dtype = direction == Direction::kForward ? spec_.dtype() : DType::kF32;
    return Add({.kind = direction == Direction::kForward ? OpKind::kExpertParamAllGather
                                                         : OpKind::kExpertGradReduceScatter,
                .direction = direction,
                .stream = StreamOf(GroupKind::kEdp),
                .group = GroupKind::kEdp,
                .layer = layer,
                .size = AllGatherBytes(shard, layout_.edp, dtype),
                .cut = Cut::kSlices,
                .elements = shard,
                .dtype = dtype},
               std::move(needs));
  }

  // Dense gradients, replicated on all ranks: reduce-scatter inside the node, all-reduce between
  // nodes, all-gather inside. Gradients of heads, the same over the ranks that hold these.
  void ReduceGradient(int32_t layer, int64_t elements, std::vector<OpId> needs,
                      bool heads = false) {
    if (layout_.zero_stage > 0) {
      ExchangeShards(layer, elements, std::move(needs), heads, Direction::kBackward);
      return;
    }
    const GroupKind inside = heads ? GroupKind::kMpPeers : GroupKind::kIntra;
    const int32_t local = topology_.ranks_per_node / (heads ? layout_.mp : 1);
    const int64_t share = (elements + local - 1) / local;
    const auto slices = [&](OpKind kind, StreamKind stream, GroupKind group, double size) {
      needs = {Add({.kind = kind,
                    .direction = Direction::kBackward,
                    .stream = stream,
                    .group = group,
                    .layer = layer,
                    .size = size,
                    .cut = Cut::kSlices,
                    .elements = elements,
                    .heads = heads},
                   std::move(needs))};
    };
    if (local > 1) {
      slices(OpKind::kGradReduceScatter, StreamKind::kIntra, inside,
             ReduceScatterBytes(elements, elements - elements * (local - 1) / local));
    }
    if (topology_.num_nodes() > 1) {
      slices(OpKind::kGradAllReduce, StreamKind::kInter, GroupKind::kInter,
             AllReduceBytes(share, topology_.num_nodes()));
    }
    if (local > 1) {
      slices(OpKind::kGradAllGather, StreamKind::kIntra, inside, AllGatherBytes(share, local));
    }
    gradients_.insert(gradients_.end(), needs.begin(), needs.end());
  }

  // ZeRO-1. Backward: gradients to the ranks that update them, inside the node, then between nodes.
  // Forward: what they updated in the last step, between nodes, then inside. Slices are of shards
  // (models/update_shard.h).
  void ExchangeShards(int32_t layer, int64_t elements, std::vector<OpId> needs, bool heads,
                      Direction direction) {
    const int32_t local = topology_.ranks_per_node / (heads ? layout_.mp : 1);
    const int32_t nodes = topology_.num_nodes();
    const int64_t shard = (elements + local * nodes - 1) / (local * nodes);
    const bool forward = direction == Direction::kForward;
    const DType dtype = forward ? spec_.dtype() : DType::kF32;
    const auto slices = [&](OpKind kind, GroupKind group, double size) {
      needs = {Add({.kind = kind,
                    .direction = direction,
                    .stream = StreamOf(group),
                    .group = group,
                    .layer = layer,
                    .size = size,
                    .cut = Cut::kSlices,
                    .elements = shard,
                    .dtype = dtype,
                    .heads = heads},
                   std::move(needs))};
    };
    const auto inside = [&] {
      if (local == 1) return;
      slices(forward ? OpKind::kParamAllGather : OpKind::kGradReduceScatter,
             heads ? GroupKind::kMpPeers : GroupKind::kIntra,
             AllGatherBytes(shard * nodes, local, dtype));
    };
    if (!forward) inside();
    if (nodes > 1) {
      slices(forward ? OpKind::kParamNodeAllGather : OpKind::kGradNodeReduceScatter,
             GroupKind::kInter, AllGatherBytes(shard, nodes, dtype));
    }
    if (forward) inside();
    std::vector<OpId>& ends = forward ? gathered_[layer] : gradients_;
    ends.insert(ends.end(), needs.begin(), needs.end());
  }

  // What a layer (-1: none) waits for before it uses its parameters.
  std::vector<OpId> WithParameters(int32_t layer, std::vector<OpId> needs) const {
    if (const auto gathered = gathered_.find(layer); gathered != gathered_.end())
      needs.insert(needs.end(), gathered->second.begin(), gathered->second.end());
    return needs;
  }
  void FetchParameters(int32_t layer) {
    if (layout_.zero_stage == 0 || layout_.world_size() == 1 || micro_batch_ > 0) return;
    ExchangeShards(layer, layer < 0 ? catalog_.outer.elements : DenseElements(layer), {}, false,
                   Direction::kForward);
    if (layer >= 0 && layout_.mp > 1 && layout_.mp < layout_.world_size())
      ExchangeShards(layer, HeadsElements(layer), {}, true, Direction::kForward);
    if (layer >= 0 && layout_.edp > 1 && spec_.is_moe_layer(layer))
      gathered_experts_[layer] = ExchangeExpertShards(layer, {}, Direction::kForward);
  }

  void Finish() {
    micro_batch_ = 0;
    std::vector<OpId> needs = finished_;
    if (kind_ == StepKind::kTraining) {
      needs.insert(needs.end(), gradients_.begin(), gradients_.end());
      std::sort(needs.begin(), needs.end());
      needs.erase(std::unique(needs.begin(), needs.end()), needs.end());
      needs = {Add(
          {.kind = OpKind::kGradNorm, .direction = Direction::kBackward, .size = LocalElements()},
          std::move(needs))};
    }
    const int64_t counts =
        kind_ == StepKind::kTraining ? int64_t{spec_.num_moe_layers()} * spec_.moe.num_experts : 0;
    needs = {Add({.kind = OpKind::kStepReduction,
                  .direction = Direction::kNone,
                  .stream = StreamOf(GroupKind::kWorld),
                  .group = layout_.world_size() > 1 ? GroupKind::kWorld : GroupKind::kNone,
                  .size = AllGatherBytes(kStepReductionElements + counts, layout_.world_size())},
                 std::move(needs))};
    if (kind_ == StepKind::kTraining) {
      Add({.kind = OpKind::kOptimizer, .direction = Direction::kBackward, .size = LocalElements()},
          std::move(needs));
    }
  }

  bool LastMicroBatch() const { return micro_batch_ + 1 == graph_.micro_batches; }
  double Elements() const { return static_cast<double>(batch_.tokens()) * spec_.hidden_size; }
  // After the exchange a rank holds the rows of its ESP group's members.
  double ExpertSize() const { return ExpertFlops(spec_, hidden_units_, rows_ * layout_.esp); }
  // Found once a kind: every operation asks, and a world may have thousands of ranks.
  const Group& Rank0sGroup(GroupKind kind) const {
    const auto [found, is_new] = groups_.try_emplace(kind);
    if (is_new) {
      const std::vector<RankId> members = GroupOf(topology_, layout_, kind, RankId{0});
      found->second = {static_cast<int32_t>(members.size()), LinkOf(topology_, members)};
    }
    return found->second;
  }
  StreamKind StreamOf(GroupKind kind) const {
    const LinkClass link = Rank0sGroup(kind).link;
    if (link == LinkClass::kNone) return StreamKind::kCompute;
    return link == LinkClass::kInterNode ? StreamKind::kInter : StreamKind::kIntra;
  }

  int64_t DenseElements(int32_t layer) const {
    return catalog_.dense[static_cast<size_t>(layer)].elements;
  }
  int64_t HeadsElements(int32_t layer) const {
    return catalog_.heads[static_cast<size_t>(layer)].elements;
  }
  int64_t ExpertElements(int32_t layer) const {
    return catalog_.experts[static_cast<size_t>(layer)].elements;
  }
  // On the rank that has most of a copy's: shards of experts differ by a unit and a bias.
  int64_t MostExpertElements(int32_t layer) const {
    int64_t most = 0;
    for (const ParameterCatalog& shard : shards_)
      most = std::max(most, shard.experts[static_cast<size_t>(layer)].elements);
    return most;
  }
  double LocalElements() const { return static_cast<double>(catalog_.elements()); }

  const ModelSpec& spec_;
  const Topology& topology_;
  const Layout& layout_;
  const BatchShape& batch_;
  StepKind kind_;
  ParameterCatalog catalog_;              // of rank 0: sizes of the expected load
  std::vector<ParameterCatalog> shards_;  // of rank 0's ESP group
  StepGraph graph_;
  mutable std::map<GroupKind, Group> groups_;  // of rank 0
  int32_t micro_batch_ = 0;
  GroupShape shape_of_ep_;
  int64_t rows_ = 0;
  int64_t hidden_units_ = 0;
  uint64_t shape_ = 0;
  OpId expert_;
  std::map<int32_t, OpId> fetched_;                // by layer: experts' weights
  std::map<int32_t, OpId> met_;                    // by layer: experts' shards of other ranks
  std::map<int32_t, std::vector<OpId>> gathered_;  // by layer, -1: outer: parameters (ZeRO-1)
  std::map<int32_t, OpId> gathered_experts_;       // by layer: the experts' (ZeRO-1)
  std::vector<OpId> finished_;                     // ends of the current micro-batch
  std::vector<OpId> gradients_;                    // ends of all gradient reductions
};

}  // namespace

StepGraph BuildStepGraph(const ModelSpec& spec, const Topology& topology, const Layout& layout,
                         const BatchShape& batch, StepKind kind) {
  return Builder(spec, topology, layout, batch, kind).Build();
}

}  // namespace weft
