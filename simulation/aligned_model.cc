#include "simulation/aligned_model.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "models/op_sizes.h"

namespace weft {
namespace {

constexpr int64_t kTokensOfAPiece = 64;  // a tile of the attention kernels

class Builder {
 public:
  Builder(const AlignedModel& model, const Topology& topology) : m_(model), t_(topology) {
    graph_.num_layers = model.layers;
    graph_.sequences = static_cast<int32_t>(model.batch);
    graph_.block_pieces = static_cast<int32_t>(model.batch * model.length / kTokensOfAPiece);
    nodes_ = topology.num_nodes();
    local_ = topology.ranks_per_node;
    tokens_ = model.batch * model.length;
  }

  StepGraph Build() {
    OpId last;
    for (int32_t layer = 0; layer < m_.layers; ++layer) last = Forward(layer, last);
    for (int32_t layer = m_.layers - 1; layer >= 0; --layer) last = Backward(layer, last);
    return std::move(graph_);
  }

 private:
  struct OpArgs {
    OpKind kind;
    Direction direction = Direction::kNone;
    int32_t layer = -1;
    StreamKind stream = StreamKind::kCompute;
    GroupKind group = GroupKind::kNone;
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
    if (args.stream == StreamKind::kInter) {
      op.key.group_size = nodes_;
      op.key.link = LinkClass::kInterNode;
    } else if (args.stream == StreamKind::kIntra) {
      op.key.group_size = local_;
      op.key.link = LinkClass::kIntraNode;
    }
    op.stream = args.stream;
    op.layer = args.layer;
    op.size = args.size;
    op.cut = args.cut;
    op.elements = args.elements;
    needs.erase(std::remove(needs.begin(), needs.end(), OpId{}), needs.end());
    std::sort(needs.begin(), needs.end());
    needs.erase(std::unique(needs.begin(), needs.end()), needs.end());
    op.needs = std::move(needs);
    graph_.ops.push_back(std::move(op));
    return graph_.ops.back().id;
  }

  OpId Exchange(OpKind kind, Direction direction, int32_t layer, OpId last) {
    if (nodes_ == 1) return last;
    const double elements = Rows() * static_cast<double>(m_.width) / local_;
    return Add({.kind = kind,
                .direction = direction,
                .layer = layer,
                .stream = StreamKind::kInter,
                .group = GroupKind::kEp,
                .size = 4 * elements * (nodes_ - 1) / nodes_,
                .cut = Cut::kChunks},
               {last});
  }

  // Gathers or scatters `elements` inside the node.
  OpId Share(OpKind kind, Direction direction, int32_t layer, double elements, GroupKind group,
             Cut cut, OpId last) {
    if (local_ == 1) return last;
    return Add({.kind = kind,
                .direction = direction,
                .layer = layer,
                .stream = StreamKind::kIntra,
                .group = group,
                .size = 4 * elements * (local_ - 1) / local_,
                .cut = cut},
               {last});
  }

  OpId Compute(OpKind kind, Direction direction, int32_t layer, double macs, Cut cut, OpId last) {
    return Add({.kind = kind, .direction = direction, .layer = layer, .size = 2 * macs, .cut = cut},
               {last});
  }

  OpId Experts(Direction direction, int32_t layer, OpId last, OpId& expert) {
    const double gathered = Rows() * static_cast<double>(m_.width);
    const bool both = direction == Direction::kBackward && !m_.split_weight_gradients;
    last = Exchange(OpKind::kDispatch, direction, layer, last);
    last = Share(OpKind::kEspAllGather, direction, layer, gathered, GroupKind::kEsp, Cut::kChunks,
                 last);
    last = expert = Compute(OpKind::kExpert, direction, layer, ExpertMacs() * (both ? 2 : 1),
                            Cut::kChunks, last);
    last = Share(OpKind::kEspReduceScatter, direction, layer, gathered, GroupKind::kEsp,
                 Cut::kChunks, last);
    return Exchange(OpKind::kCombine, direction, layer, last);
  }

  OpId Attention(Direction direction, int32_t layer, OpId last, OpId& attention) {
    const double elements = static_cast<double>(tokens_ * m_.width);
    const double scores = static_cast<double>(tokens_ * m_.length * m_.width) / local_;
    const double projections = ProjectionMacs();
    double macs = projections + scores;
    if (direction == Direction::kBackward) {
      macs = 2 * scores + projections * (m_.split_weight_gradients ? 1 : 2);
    }
    last = Share(OpKind::kMpAllGather, direction, layer, elements, GroupKind::kIntra, Cut::kEither,
                 last);
    last = attention = Compute(OpKind::kAttention, direction, layer, macs, Cut::kEither, last);
    return Share(OpKind::kMpReduceScatter, direction, layer, elements, GroupKind::kIntra,
                 Cut::kEither, last);
  }

  OpId Gate(Direction direction, int32_t layer, OpId last) {
    const double macs = static_cast<double>(tokens_ * m_.width) / local_ * nodes_;
    return Compute(OpKind::kRouter, direction, layer,
                   macs * (direction == Direction::kBackward ? 2 : 1), Cut::kEither, last);
  }

  OpId Forward(int32_t layer, OpId last) {
    OpId unused;
    if (m_.blocks) {
      last = Attention(Direction::kForward, layer, last, unused);
      last = Gate(Direction::kForward, layer, last);
    }
    return Experts(Direction::kForward, layer, last, unused);
  }

  OpId Backward(int32_t layer, OpId last) {
    const OpId before = last;
    OpId expert;
    last = Experts(Direction::kBackward, layer, last, expert);
    if (m_.split_weight_gradients) {
      Compute(OpKind::kExpertWgrad, Direction::kBackward, layer, ExpertMacs(), Cut::kWhole, expert);
    }
    OpId gradient = before;
    if (m_.blocks) {
      last = Gate(Direction::kBackward, layer, last);
      OpId attention;
      last = Attention(Direction::kBackward, layer, last, attention);
      gradient = attention;
      if (m_.split_weight_gradients) {
        gradient = Compute(OpKind::kAttentionWgrad, Direction::kBackward, layer, ProjectionMacs(),
                           Cut::kWhole, attention);
      }
    }
    if (nodes_ > 1) {
      const int64_t elements = DenseGradientElements(m_, t_);
      Add({.kind = OpKind::kGradAllReduce,
           .direction = Direction::kBackward,
           .layer = layer,
           .stream = StreamKind::kInter,
           .group = GroupKind::kInter,
           .size = AllReduceBytes(elements, nodes_),
           .cut = Cut::kSlices,
           .elements = elements},
          {gradient});
    }
    return last;
  }

  double Rows() const { return m_.rows_per_token * static_cast<double>(tokens_); }
  int32_t Products() const { return m_.swiglu ? 3 : 2; }
  double ExpertMacs() const {
    return Products() * Rows() * static_cast<double>(m_.width * m_.expert_width) / local_;
  }
  double ProjectionMacs() const {
    return static_cast<double>(tokens_) * static_cast<double>(DenseGradientElements(m_, t_));
  }

  const AlignedModel& m_;
  const Topology& t_;
  StepGraph graph_;
  int32_t nodes_ = 1;
  int32_t local_ = 1;
  int64_t tokens_ = 0;
};

}  // namespace

ProductCounts ProductsOf(const AlignedModel& model) {
  ProductCounts products;
  products.expert = products.expert_wgrad = model.swiglu ? 3 : 2;
  products.expert_backward = products.expert * 2;
  if (model.split_weight_gradients) {
    products.expert_backward -= products.expert_wgrad;
    products.attention_backward -= products.attention_wgrad;
  }
  return products;
}

int64_t DenseGradientElements(const AlignedModel& model, const Topology& topology) {
  const int64_t square = model.width * model.width;
  return (model.swiglu ? square * 5 / 2 : 4 * square) / topology.ranks_per_node;
}

StepGraph BuildAlignedGraph(const AlignedModel& model, const Topology& topology) {
  return Builder(model, topology).Build();
}

}  // namespace weft
