#include "models/build_step_graph.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/fingerprint.h"
#include "models/layer_cut.h"
#include "models/op_sizes.h"
#include "models/parameters.h"

namespace weft {
namespace {

// The step reduction gathers eight doubles a rank: sixteen elements of 4 bytes.
constexpr int64_t kStepReductionElements = 16;

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
    graph_.sequences = static_cast<int32_t>(batch.sequences);
    graph_.block_pieces = BlockPieces(batch);
    graph_.micro_batches = kind == StepKind::kTraining ? batch.micro_batches : 1;
    rows_ = batch.tokens() * spec.moe.top_k;
    hidden_units_ = (spec.ffn_hidden_size + layout.esp - 1) / layout.esp;
    shape_ = Fingerprint(absl::StrCat(
        spec.hidden_size, "/", spec.ffn_hidden_size, "/", hidden_units_, "/", spec.num_heads, "/",
        spec.num_kv_heads, "/", spec.vocab_size, "/", batch.length, "/", spec.moe.num_experts, "/",
        spec.moe.top_k, "/", static_cast<int>(spec.backbone)));
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
  };

  OpId Add(const OpArgs& args, std::vector<OpId> needs) {
    Op op;
    op.id = OpId{static_cast<int32_t>(graph_.ops.size())};
    op.key.kind = args.kind;
    op.key.direction = args.direction;
    op.key.group = args.group;
    if (args.group != GroupKind::kNone) {
      const std::vector<RankId> group = GroupOf(topology_, layout_, args.group, RankId{0});
      op.key.group_size = static_cast<int32_t>(group.size());
      op.key.link = LinkOf(topology_, group);
    } else {
      op.key.shape_class = shape_;
    }
    op.stream = args.stream;
    op.layer = args.layer;
    op.micro_batch = micro_batch_;
    op.cut = args.cut;
    op.size = args.size;
    op.elements = args.elements;
    std::sort(needs.begin(), needs.end());
    op.needs = std::move(needs);
    graph_.ops.push_back(std::move(op));
    return graph_.ops.back().id;
  }

  OpId Forward(std::vector<OpId> start) {
    OpId last =
        Add({.kind = OpKind::kEmbedding, .direction = Direction::kForward, .size = Elements()},
            std::move(start));
    for (int32_t layer = 0; layer < spec_.num_layers; ++layer) {
      last = Attention(layer, Direction::kForward, last);
      last = spec_.is_moe_layer(layer) ? MoeForward(layer, last) : DenseForward(layer, last);
    }
    return Add({.kind = OpKind::kHead,
                .direction = Direction::kForward,
                .size = HeadFlops(spec_, batch_, false)},
               {last});
  }

  // In a layer with a pipeline, what stands beside it can enter it.
  Cut BlockCut(int32_t layer) const {
    return spec_.is_moe_layer(layer) ? Cut::kEither : Cut::kWhole;
  }

  OpId Attention(int32_t layer, Direction direction, OpId last) {
    return Add({.kind = OpKind::kAttention,
                .direction = direction,
                .layer = layer,
                .size = AttentionFlops(spec_, batch_, {0, batch_.tokens()}, direction),
                .cut = BlockCut(layer)},
               {last});
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
    if (layout_.ep > 1) {
      last = Add({.kind = OpKind::kCountsAllToAll,
                  .direction = Direction::kForward,
                  .stream = ExpertStream(),
                  .group = GroupKind::kEp,
                  .layer = layer,
                  .size = AllToAllBytes(spec_.moe.num_experts - spec_.moe.num_experts / layout_.ep),
                  .cut = Cut::kEither},
                 {last});
    }
    if (layout_.esp > 1) {
      const int64_t counts =
          static_cast<int64_t>(layout_.ep) * ExpertsOf(spec_.moe.num_experts, layout_.ep, 0).count;
      last = Add({.kind = OpKind::kCountsAllGather,
                  .direction = Direction::kForward,
                  .stream = StreamKind::kIntra,
                  .group = GroupKind::kEsp,
                  .layer = layer,
                  .size = AllGatherBytes(counts, layout_.esp),
                  .cut = Cut::kEither},
                 {last});
    }
    last = Pipeline(layer, Direction::kForward, last);
    return Add({.kind = OpKind::kUnpermute,
                .direction = Direction::kForward,
                .layer = layer,
                .size = Elements(),
                .cut = Cut::kEither},
               {last});
  }

  // dispatch -> AllGather -> expert -> ReduceScatter -> combine; the backward runs the same
  // collectives. Returns the last operation; expert_ is left at the expert operation.
  OpId Pipeline(int32_t layer, Direction direction, OpId last) {
    const int64_t width = spec_.hidden_size;
    const double exchanged = AllToAllBytes(rows_ * width * (layout_.ep - 1) / layout_.ep);
    const double gathered = AllGatherBytes(rows_ * width, layout_.esp);
    const auto chunks = [&](OpKind kind, StreamKind stream, GroupKind group, double size) {
      last = Add({.kind = kind,
                  .direction = direction,
                  .stream = stream,
                  .group = group,
                  .layer = layer,
                  .size = size,
                  .cut = Cut::kChunks},
                 {last});
    };
    if (layout_.ep > 1) chunks(OpKind::kDispatch, ExpertStream(), GroupKind::kEp, exchanged);
    if (layout_.esp > 1)
      chunks(OpKind::kEspAllGather, StreamKind::kIntra, GroupKind::kEsp, gathered);
    chunks(OpKind::kExpert, StreamKind::kCompute, GroupKind::kNone, ExpertSize());
    expert_ = last;
    if (layout_.esp > 1)
      chunks(OpKind::kEspReduceScatter, StreamKind::kIntra, GroupKind::kEsp, gathered);
    if (layout_.ep > 1) chunks(OpKind::kCombine, ExpertStream(), GroupKind::kEp, exchanged);
    return last;
  }

  void Backward(OpId last) {
    last = Add({.kind = OpKind::kHead,
                .direction = Direction::kBackward,
                .size = HeadFlops(spec_, batch_, true)},
               {last});
    for (int32_t layer = spec_.num_layers - 1; layer >= 0; --layer) {
      if (spec_.is_moe_layer(layer)) {
        last = MoeBackward(layer, last);
      } else {
        last = Add({.kind = OpKind::kDenseFfn,
                    .direction = Direction::kBackward,
                    .layer = layer,
                    .size = DenseFfnFlops(spec_, batch_, true)},
                   {last});
      }
      last = Attention(layer, Direction::kBackward, last);
      const OpId wgrad = Add({.kind = OpKind::kAttentionWgrad,
                              .direction = Direction::kBackward,
                              .layer = layer,
                              .size = AttentionWgradFlops(spec_, batch_)},
                             {last});
      finished_.push_back(wgrad);
      if (LastMicroBatch()) ReduceGradient(layer, DenseElements(layer), wgrad);
    }
    last = Add({.kind = OpKind::kEmbedding, .direction = Direction::kBackward, .size = Elements()},
               {last});
    finished_.push_back(last);
    if (LastMicroBatch()) ReduceGradient(-1, catalog_.outer.elements, last);
  }

  OpId MoeBackward(int32_t layer, OpId last) {
    last = Add({.kind = OpKind::kUnpermute,
                .direction = Direction::kBackward,
                .layer = layer,
                .size = Elements(),
                .cut = Cut::kEither},
               {last});
    last = Pipeline(layer, Direction::kBackward, last);
    const OpId wgrad = Add({.kind = OpKind::kExpertWgrad,
                            .direction = Direction::kBackward,
                            .layer = layer,
                            .size = ExpertSize()},
                           {expert_});
    finished_.push_back(wgrad);
    if (LastMicroBatch()) {
      gradients_.push_back(wgrad);
      if (layout_.edp > 1) {
        const int64_t elements = ExpertElements(layer);
        gradients_.push_back(Add({.kind = OpKind::kExpertGradAllReduce,
                                  .direction = Direction::kBackward,
                                  .stream = EdpStream(),
                                  .group = GroupKind::kEdp,
                                  .layer = layer,
                                  .size = AllReduceBytes(elements, layout_.edp)},
                                 {wgrad}));
      }
    }
    return Add({.kind = OpKind::kRouter,
                .direction = Direction::kBackward,
                .layer = layer,
                .size = Elements(),
                .cut = Cut::kEither},
               {last});
  }

  // Dense gradients, replicated on all ranks: reduce-scatter inside the node, all-reduce between
  // nodes, all-gather inside.
  void ReduceGradient(int32_t layer, int64_t elements, OpId last) {
    const int32_t local = topology_.ranks_per_node;
    const int64_t share = (elements + local - 1) / local;
    const auto slices = [&](OpKind kind, StreamKind stream, GroupKind group, double size) {
      last = Add({.kind = kind,
                  .direction = Direction::kBackward,
                  .stream = stream,
                  .group = group,
                  .layer = layer,
                  .size = size,
                  .cut = Cut::kSlices,
                  .elements = elements},
                 {last});
    };
    if (local > 1) {
      slices(OpKind::kGradReduceScatter, StreamKind::kIntra, GroupKind::kIntra,
             ReduceScatterBytes(elements, elements - elements * (local - 1) / local));
    }
    if (topology_.num_nodes() > 1) {
      slices(OpKind::kGradAllReduce, StreamKind::kInter, GroupKind::kInter,
             AllReduceBytes(share, topology_.num_nodes()));
    }
    if (local > 1) {
      slices(OpKind::kGradAllGather, StreamKind::kIntra, GroupKind::kIntra,
             AllGatherBytes(share, local));
    }
    gradients_.push_back(last);
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
    needs = {Add({.kind = OpKind::kStepReduction,
                  .direction = Direction::kNone,
                  .stream = StreamOf(GroupKind::kWorld),
                  .group = layout_.world_size() > 1 ? GroupKind::kWorld : GroupKind::kNone,
                  .size = AllGatherBytes(kStepReductionElements, layout_.world_size())},
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
  // EP inside one node uses the intra-node stream.
  StreamKind ExpertStream() const { return StreamOf(GroupKind::kEp); }
  StreamKind EdpStream() const { return StreamOf(GroupKind::kEdp); }
  StreamKind StreamOf(GroupKind kind) const {
    const LinkClass link = LinkOf(topology_, GroupOf(topology_, layout_, kind, RankId{0}));
    if (link == LinkClass::kNone) return StreamKind::kCompute;
    return link == LinkClass::kInterNode ? StreamKind::kInter : StreamKind::kIntra;
  }

  int64_t DenseElements(int32_t layer) const {
    return catalog_.dense[static_cast<size_t>(layer)].elements;
  }
  int64_t ExpertElements(int32_t layer) const {
    return catalog_.experts[static_cast<size_t>(layer)].elements;
  }
  double LocalElements() const { return static_cast<double>(catalog_.elements()); }

  const ModelSpec& spec_;
  const Topology& topology_;
  const Layout& layout_;
  const BatchShape& batch_;
  StepKind kind_;
  ParameterCatalog catalog_;  // of rank 0: sizes of the expected load
  StepGraph graph_;
  int32_t micro_batch_ = 0;
  int64_t rows_ = 0;
  int64_t hidden_units_ = 0;
  uint64_t shape_ = 0;
  OpId expert_;
  std::vector<OpId> finished_;   // ends of the current micro-batch
  std::vector<OpId> gradients_;  // ends of all gradient reductions
};

}  // namespace

StepGraph BuildStepGraph(const ModelSpec& spec, const Topology& topology, const Layout& layout,
                         const BatchShape& batch, StepKind kind) {
  return Builder(spec, topology, layout, batch, kind).Build();
}

}  // namespace weft
