#include "models/moe/moe_layer.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "models/op_sizes.h"

namespace weft {

MoeLayer::MoeLayer(const ModelContext& context, Bucket& dense, Bucket& experts,
                   ExchangeBuffers& buffers, ExpertScratch& scratch, int32_t layer)
    : context_(context),
      buffers_(buffers),
      router_(context, dense, layer),
      exchange_(context, buffers),
      away_(context, experts, layer),
      gathered_(context, experts, layer),
      experts_(context, scratch),
      home_(experts),
      layer_(layer),
      storage_(context.kernels->memory()) {
  const Shape rows = {buffers.source_rows(), context.spec.hidden_size};
  storage_.Add(returned_, context.spec.dtype(), rows);
  storage_.Add(d_returned_, context.spec.dtype(), rows);
  storage_.Make();
  if (context.spec.moe.shared_experts > 0) shared_.emplace(context, dense, layer);
}

void MoeLayer::Place(const ExpertPlacement& placement, int32_t gathered) {
  placement_ = placement;
  gathers_ = gathered;
  homes_ = home_.homes;
  router_.Place(*placement_, homes_);
  exchange_.Place(*placement_, gathered);
  away_.Place(*placement_);
  gathered_.Place(gathered);
  const Layout& layout = context_.layout;
  const int32_t me = layout.ep_index(context_.rank);
  const int64_t own =
      HiddenShardOf(context_.spec.ffn_hidden_size, layout.esp, layout.esp_index(context_.rank))
          .count;
  GroupedFfn local(context_.spec, gathered > 1 ? gathered_.hidden_units() : own);
  for (const int32_t home : placement.experts_on(me)) {
    const bool at_home = HomeOf(placement.experts(), placement.members(), home) == me;
    Bucket& bucket = gathered > 1 ? gathered_.bucket() : at_home ? home_ : away_.bucket();
    local.Add(bucket, ExpertName(layer_, homes_.expert_at(home)));
  }
  experts_.Employ(std::move(local));
}

void MoeLayer::Prepare(const LayerCut& cut, AllToAllAlgorithm algorithm,
                       const ExpertPlacement& placement, int32_t gathered) {
  cut_ = &cut;
  if (placement_ != placement || gathers_ != gathered || homes_ != home_.homes)
    Place(placement, gathered);
  away_.ZeroGradients();
  gathered_.ZeroGradients();
  const int32_t forward = cut.of(Direction::kForward).degree;
  buffers_.Prepare(std::max(forward, cut.of(Direction::kBackward).degree));
  router_.Prepare(cut);
  exchange_.Prepare(cut, algorithm);
  experts_.Prepare(forward);
}

void MoeLayer::CountsKnown(int32_t piece) {
  exchange_.CountsKnown(piece, router_.counts());
  const ArrivalOrder& arrival = exchange_.arrival(Direction::kForward);
  const RowRange chunks = cut_->chunks_of(Direction::kForward, piece);
  if (piece == 0) {
    int64_t known = 0;
    for (auto chunk = static_cast<int32_t>(chunks.begin); chunk < chunks.end; ++chunk)
      known += arrival.arrival_rows(chunk);
    experts_.StartForward(known);
  }
  for (auto chunk = static_cast<int32_t>(chunks.begin); chunk < chunks.end; ++chunk) {
    exchange_.PrepareChunk(router_.order(Direction::kForward), Direction::kForward, chunk);
    experts_.KeepChunk(chunk, arrival.arrival_rows(chunk));
  }
  if (chunks.end == arrival.degree()) experts_.ReserveBackward(exchange_.saved().total_rows());
}

std::optional<TensorView> MoeLayer::RowsAtExperts(Direction direction, int32_t chunk) {
  if (!alone()) return std::nullopt;
  return direction == Direction::kForward
             ? experts_.PlaceOfInput(exchange_.arrival(direction), chunk)
             : experts_.PlaceOfOutputGradient(orders(), chunk);
}

TensorView MoeLayer::RoutedRows(Direction direction, int32_t chunk, int64_t rows) {
  const std::optional<TensorView> at_experts = RowsAtExperts(direction, chunk);
  if (at_experts.has_value()) return *at_experts;
  buffers_.ReserveSend(chunk, rows);
  return buffers_.send(chunk, rows);
}

double MoeLayer::RunExperts(Direction direction, int32_t chunk) {
  const std::optional<TensorView> at_experts = RowsAtExperts(direction, chunk);
  const ConstTensorView input =
      at_experts.has_value() ? *at_experts : exchange_.ExpertInput(direction, chunk);
  const TensorView output =
      exchange_.ExpertOutput(router_.order(direction), direction, chunk, returned(direction));
  return direction == Direction::kForward
             ? experts_.Forward(exchange_.arrival(direction), chunk, input, output)
             : experts_.Backward(orders(), chunk, input, output);
}

double MoeLayer::RunSharedExperts(Direction direction, int32_t piece, const Activations& a) {
  const RowRange tokens = cut_->tokens(direction, piece);
  if (direction == Direction::kForward) {
    shared_->Forward(tokens, router_.normed(), a.y);
  } else {
    shared_->Backward(tokens, a.dy, router_.d_normed());
  }
  return SharedExpertFlops(context_.spec, tokens.count());
}

void MoeLayer::StartForward(int32_t piece, const Activations& a) {
  router_.Decide(piece, a.batch, a.x, a.balance_loss);
  if (alone()) CountsKnown(piece);
  router_.Permute(piece, [this](int32_t chunk, int64_t rows) {
    return RoutedRows(Direction::kForward, chunk, rows);
  });
}

void MoeLayer::StartBackward(int32_t piece, const Activations& a) {
  router_.CombineBackward(piece, a.dy, returned_, [this](int32_t chunk, int64_t rows) {
    return RoutedRows(Direction::kBackward, chunk, rows);
  });
  const RowRange chunks = cut_->chunks_of(Direction::kBackward, piece);
  for (auto chunk = static_cast<int32_t>(chunks.begin); chunk < chunks.end; ++chunk) {
    exchange_.PrepareChunk(router_.order(Direction::kBackward), Direction::kBackward, chunk);
  }
}

absl::Status MoeLayer::Run(const Op& op, int32_t chunk, const Activations& a, double* size) {
  const Layout& layout = context_.layout;
  const Direction direction = op.direction();
  const bool forward = direction == Direction::kForward;
  const SendOrder& order = router_.order(direction);
  *size = op.size;
  switch (op.key.kind) {
    case OpKind::kRouter:
      *size = op.size / cut_->of(direction).pieces();
      forward ? StartForward(chunk, a) : router_.Backward(chunk, d_returned_, a.dy, a.x, a.dx);
      return absl::OkStatus();
    case OpKind::kCountsAllToAll:
      WEFT_RETURN_IF_ERROR(exchange_.CountsAllToAll(chunk, router_.counts(), size));
      if (layout.esp == 1 && !exchange_.passes_on()) CountsKnown(chunk);
      return absl::OkStatus();
    case OpKind::kCountsNodeGather:
      WEFT_RETURN_IF_ERROR(exchange_.CountsNodeGather(chunk, router_.counts(), size));
      if (layout.esp == 1) CountsKnown(chunk);
      return absl::OkStatus();
    case OpKind::kCountsAllGather:
      WEFT_RETURN_IF_ERROR(exchange_.CountsAllGather(chunk, router_.counts(), size));
      CountsKnown(chunk);
      return absl::OkStatus();
    case OpKind::kExpertWeights:
      return away_.Fetch(size);
    case OpKind::kExpertGradReturn:
      return away_.Return(size);
    case OpKind::kExpertShardGather:
      return gathered_.Gather(size);
    case OpKind::kExpertShardReduce:
      return gathered_.Reduce(size);
    case OpKind::kDispatch:
      return exchange_.Dispatch(order, direction, chunk, op.step, size);
    case OpKind::kEspAllGather:
      return exchange_.EspAllGather(direction, chunk, size);
    case OpKind::kExpert:
      *size = RunExperts(direction, chunk);
      return absl::OkStatus();
    case OpKind::kSharedExpert:
      *size = RunSharedExperts(direction, chunk, a);
      return absl::OkStatus();
    case OpKind::kEspReduceScatter:
      return exchange_.EspReduceScatter(order, direction, chunk, returned(direction), size);
    case OpKind::kCombine:
      return exchange_.Combine(order, direction, chunk, op.step, returned(direction), size);
    case OpKind::kUnpermute:
      *size = op.size / cut_->of(direction).pieces();
      forward ? router_.Combine(chunk, a.x, returned_, a.y) : StartBackward(chunk, a);
      return absl::OkStatus();
    case OpKind::kExpertWgrad:
      *size = experts_.BackwardWeights(orders());
      return absl::OkStatus();
    case OpKind::kSharedExpertWgrad:
      shared_->BackwardWeights(router_.normed());
      return absl::OkStatus();
    default:
      return absl::InternalError(
          absl::StrCat("not an operation of an MoE layer: ", std::string(Name(op.key.kind))));
  }
}

}  // namespace weft
