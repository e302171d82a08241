#include "models/moe/router.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "models/moe/ep_shape.h"

namespace weft {
namespace {

// Rows an expert may take from one sequence.
int64_t CapacityOf(const ModelSpec& spec, int64_t length) {
  const double factor = std::abs(spec.moe.capacity_factor);
  if (spec.moe.capacity_mode == CapacityMode::kDropless || factor == 0)
    return std::numeric_limits<int64_t>::max();
  return static_cast<int64_t>(
      std::ceil(factor * spec.moe.top_k * static_cast<double>(length) / spec.moe.num_experts));
}

// Those of a chunk's rows. by_row: [rows], in send order.
TensorView OfChunk(const SendOrder& order, int32_t chunk, TensorView by_row) {
  return Elements(by_row, order.chunk_begin(chunk), order.chunk_rows(chunk));
}

}  // namespace

Router::Router(const ModelContext& context, Bucket& bucket, int32_t layer)
    : context_(context),
      shared_(context.spec.moe.shared_experts > 0),
      norm_(context, bucket, absl::StrCat("layers.", layer, ".ffn_norm")),
      gate_(bucket, absl::StrCat("layers.", layer, ".router")),
      storage_(context.kernels->memory()),
      slots_begin_(context.kernels->memory()),
      slots_(context.kernels->memory()),
      segment_ends_(context.kernels->memory()),
      counted_(context.kernels->memory()),
      chunk_ends_(context.kernels->memory()),
      chunk_shifts_(context.kernels->memory()) {
  const MoeSpec& moe = context.spec.moe;
  if (moe.routing == Routing::kForced)
    forced_.emplace(moe, context.batch.length, context.seed, layer);
  const int64_t tokens = context.batch.tokens();
  const int64_t width = context.spec.hidden_size;
  const int64_t experts = context.spec.moe.num_experts;
  const int64_t k = context.spec.moe.top_k;
  for (TensorView* of_experts : {&logits_, &probs_, &d_probs_})
    storage_.Add(*of_experts, DType::kF32, {tokens, experts});
  for (TensorView* of_choices : {&weights_, &d_weights_, &row_weight_})
    storage_.Add(*of_choices, DType::kF32, {tokens, k});
  for (TensorView* of_choices : {&experts_, &slot_of_, &row_of_, &forward_places_,
                                 &backward_places_, &row_token_, &row_choice_})
    storage_.Add(*of_choices, DType::kI32, {tokens, k});
  // What products read.
  storage_.Add(d_logits_, context.spec.dtype(), {tokens, experts});
  storage_.Add(d_rows_, context.spec.dtype(), {tokens, width});
  storage_.Make();
  if (forced_.has_value()) chosen_.resize(static_cast<size_t>(tokens * k));
  for (std::vector<int32_t>* of_experts : {&kept_, &step_counts_})
    of_experts->resize(static_cast<size_t>(experts));
}

void Router::Prepare(const LayerCut& cut) {
  cut_ = &cut;
  forward_order_.Prepare(*placement_, cut_->of(Direction::kForward).degree);
  backward_order_.Prepare(*placement_, cut_->of(Direction::kBackward).degree);
  const int64_t segments = cut.segments(), slots = placement_->slots();
  const int64_t experts = context_.spec.moe.num_experts;
  const int64_t counted = segments * slots + 2 * experts;
  // Counts stand together: the host reads them at once.
  counted_.Ensure<int32_t>({counted});
  fetched_.resize(static_cast<size_t>(counted));
  counts_.assign(static_cast<size_t>(segments * slots), 0);
  for (int64_t segment = 0; segment < segments; ++segment)
    ends_.push_back(static_cast<int32_t>(cut.segment_end(static_cast<int32_t>(segment))));
  Upload(ends_, segment_ends_);
  std::fill(step_counts_.begin(), step_counts_.end(), 0);
}

void Router::Upload(std::vector<int32_t>& numbers, Buffer& to) {
  const Shape shape = {static_cast<int64_t>(numbers.size())};
  context_.kernels->memory().FromHost(View(numbers.data(), shape), to.Ensure<int32_t>(shape));
  numbers.clear();
}

void Router::Place(const ExpertPlacement& placement, const ExpertHomes& homes) {
  placement_ = &placement;
  const GroupShape shape = EpShape(context_.topology, context_.layout, context_.rank);
  std::vector<int32_t> begins = {0}, slots;
  for (int32_t e = 0; e < placement.experts(); ++e) {
    const std::vector<int32_t> to =
        placement.SlotsFor(shape.me, homes.home_of(e), shape.members_per_node);
    slots.insert(slots.end(), to.begin(), to.end());
    begins.push_back(static_cast<int32_t>(slots.size()));
  }
  slots_to_ = static_cast<int64_t>(slots.size());
  Upload(begins, slots_begin_);
  Upload(slots, slots_);
  taken_.resize(static_cast<size_t>(placement.slots()));
}

void Router::Decide(int32_t piece, const RoutedBatch& batch, ConstTensorView x,
                    TensorView balance_loss) {
  Kernels& kernels = *context_.kernels;
  const RowRange tokens = cut_->tokens(Direction::kForward, piece);
  const TensorView normed = norm_.Forward(x, tokens);
  gate_.Forward(kernels, normed, Rows(logits_, tokens));
  if (forced_.has_value()) ForceExperts(tokens, batch);
  kernels.GateForward({.logits = Rows(logits_, tokens),
                       .top_k = context_.spec.moe.top_k,
                       .renormalize = context_.spec.moe.renormalize,
                       .probs = Rows(probs_, tokens),
                       .experts = Rows(experts_, tokens),
                       .weights = Rows(weights_, tokens),
                       .forced = forced_.has_value()});
  AssignRows(piece);
  BalanceLoss(tokens, balance_loss);
  PlaceRows(Direction::kForward, piece, forward_places_);
}

void Router::Permute(int32_t piece, RowsTo to) {
  const RowRange chunks = cut_->chunks_of(Direction::kForward, piece);
  for (auto chunk = static_cast<int32_t>(chunks.begin); chunk < chunks.end; ++chunk) {
    context_.kernels->GatherRows(norm_.output(), OfChunk(forward_order_, chunk, row_token_),
                                 to(chunk, forward_order_.chunk_rows(chunk)));
  }
}

void Router::ForceExperts(RowRange tokens, const RoutedBatch& batch) {
  const int64_t k = context_.spec.moe.top_k;
  for (int64_t t = tokens.begin; t < tokens.end; ++t) {
    forced_->Choose(batch, t, {chosen_.data() + t * k, static_cast<size_t>(k)});
  }
  context_.kernels->memory().FromHost(View(chosen_.data() + tokens.begin * k, {tokens.count(), k}),
                                      Rows(experts_, tokens));
}

void Router::AssignRows(int32_t piece) {
  Kernels& kernels = *context_.kernels;
  const RowRange tokens = cut_->tokens(Direction::kForward, piece);
  const int64_t experts = context_.spec.moe.num_experts;
  const int64_t segments = cut_->segments(), slots = placement_->slots();
  const Shape all = {static_cast<int64_t>(fetched_.size())};
  const TensorView counted = counted_.view<int32_t>(all);
  if (tokens.begin == 0) {
    kernels.memory().Zero(counted);
    std::fill(kept_.begin(), kept_.end(), 0);
    dropped_ = 0;
  }
  const TensorView counts = Elements(counted, 0, segments * slots);
  kernels.AssignRows({.experts = Rows(experts_, tokens),
                      .first_token = tokens.begin,
                      .length = context_.batch.length,
                      .capacity = CapacityOf(context_.spec, context_.batch.length),
                      .slots_begin = slots_begin_.view<int32_t>({experts + 1}),
                      .slots = slots_.view<int32_t>({slots_to_}),
                      .turn = context_.layout.ep_index(context_.rank),
                      .segment_ends = segment_ends_.view<int32_t>({segments}),
                      .kept = Elements(counted, segments * slots, experts),
                      .chosen = Elements(counted, segments * slots + experts, experts),
                      .counts = {counts.data, counts.dtype, {segments, slots}},
                      .slot = Rows(slot_of_, tokens),
                      .row = Rows(row_of_, tokens)});
  // The host waits here, once a piece.
  kernels.memory().ToHost(counted, View(fetched_.data(), all));
  // Others may be reading what the pieces before have counted.
  const RowRange own = cut_->segments_of(Direction::kForward, piece);
  const auto begin = static_cast<std::ptrdiff_t>(own.begin * slots);
  const auto end = static_cast<std::ptrdiff_t>(own.end * slots);
  std::copy(fetched_.begin() + begin, fetched_.begin() + end, counts_.begin() + begin);
  dropped_ += tokens.count() * context_.spec.moe.top_k;
  for (size_t e = 0; e < kept_.size(); ++e) {
    const int32_t kept = fetched_[static_cast<size_t>(segments * slots) + e];
    step_counts_[e] += kept - kept_[e];
    dropped_ -= kept - kept_[e];
    kept_[e] = kept;
  }
}

// Of the sequences that end in these tokens.
void Router::BalanceLoss(RowRange tokens, TensorView balance_loss) {
  const MoeSpec& moe = context_.spec.moe;
  const int64_t length = context_.batch.length;
  const RowRange whole = {tokens.begin / length * length, tokens.end / length * length};
  if (whole.count() <= 0) return;
  context_.kernels->BalanceLoss(
      {.probs = Rows(probs_, whole),
       .experts = Rows(experts_, whole),
       .length = length,
       .coefficient = moe.balance_loss * moe.num_experts /
                      static_cast<double>(context_.batch.global_sequences),
       .d_probs = Rows(d_probs_, whole),
       .loss_sum = balance_loss});
}

void Router::PlaceRows(Direction direction, int32_t piece, TensorView places) {
  SendOrder& order = direction == Direction::kForward ? forward_order_ : backward_order_;
  const RowRange chunks = cut_->chunks_of(direction, piece);
  for (auto chunk = static_cast<int32_t>(chunks.begin); chunk < chunks.end; ++chunk) {
    for (size_t s = 0; s < taken_.size(); ++s)
      taken_[s] = cut_->rows(direction, chunk, counts().subspan(s), taken_.size());
    order.Append(chunk, taken_);
    for (size_t s = 0; s < taken_.size(); ++s) {
      const auto slot = static_cast<int32_t>(s);
      const RowRange rows = order.block_rows(chunk, slot);
      ends_.push_back(static_cast<int32_t>(rows.end));
      shifts_.push_back(static_cast<int32_t>(order.block_begin(chunk, slot) - rows.begin));
    }
  }
  const Shape table = {chunks.count(), static_cast<int64_t>(taken_.size())};
  Upload(ends_, chunk_ends_);
  Upload(shifts_, chunk_shifts_);
  const RowRange tokens = cut_->tokens(direction, piece);
  const Shape by_place = {row_token_.elements()};
  context_.kernels->PlaceRows({.slot = Rows(slot_of_, tokens),
                               .row = Rows(row_of_, tokens),
                               .first_token = tokens.begin,
                               .ends = chunk_ends_.view<int32_t>(table),
                               .shifts = chunk_shifts_.view<int32_t>(table),
                               .place = Rows(places, tokens),
                               .token = Elements(row_token_, 0, by_place[0]),
                               .choice = Elements(row_choice_, 0, by_place[0])});
}

void Router::Combine(int32_t piece, ConstTensorView x, ConstTensorView returned, TensorView y) {
  Kernels& kernels = *context_.kernels;
  const RowRange tokens = cut_->tokens(Direction::kForward, piece);
  const TensorView out = Rows(y, tokens);
  kernels.GatherSum(returned, Rows(forward_places_, tokens), Rows(weights_, tokens),
                    /*accumulate=*/shared_, out);
  kernels.Add(Rows(x, tokens), out, out);
}

void Router::CombineBackward(int32_t piece, ConstTensorView dy, ConstTensorView returned,
                             RowsTo to) {
  Kernels& kernels = *context_.kernels;
  const RowRange tokens = cut_->tokens(Direction::kBackward, piece);
  kernels.GatherDot(Rows(dy, tokens), returned, Rows(forward_places_, tokens),
                    Rows(d_weights_, tokens));
  PlaceRows(Direction::kBackward, piece, backward_places_);
  const TensorView weights = View(weights_.as<float>(), {weights_.elements(), 1});
  const RowRange chunks = cut_->chunks_of(Direction::kBackward, piece);
  for (auto chunk = static_cast<int32_t>(chunks.begin); chunk < chunks.end; ++chunk) {
    const int64_t rows = backward_order_.chunk_rows(chunk);
    const TensorView weight = View(row_weight_.as<float>(), {rows, 1});
    kernels.GatherRows(weights, OfChunk(backward_order_, chunk, row_choice_), weight);
    kernels.GatherScaledRows(dy, OfChunk(backward_order_, chunk, row_token_), weight,
                             to(chunk, rows));
  }
}

void Router::Backward(int32_t piece, ConstTensorView d_returned, ConstTensorView dy,
                      ConstTensorView x, TensorView dx) {
  Kernels& kernels = *context_.kernels;
  const RowRange tokens = cut_->tokens(Direction::kBackward, piece);
  const TensorView d_normed = Rows(d_rows_, tokens);
  const TensorView d_logits = Rows(d_logits_, tokens);
  kernels.GatherSum(d_returned, Rows(backward_places_, tokens), {}, /*accumulate=*/shared_,
                    d_normed);
  kernels.GateBackward({.probs = Rows(probs_, tokens),
                        .experts = Rows(experts_, tokens),
                        .weights = Rows(weights_, tokens),
                        .d_weights = Rows(d_weights_, tokens),
                        .d_probs = Rows(d_probs_, tokens),
                        .renormalize = context_.spec.moe.renormalize,
                        .d_logits = d_logits});
  gate_.BackwardData(kernels, d_logits, d_normed, /*accumulate=*/true);
  norm_.BackwardData(d_normed, x, Rows(dx, tokens), tokens);
  kernels.Add(Rows(dx, tokens), Rows(dy, tokens), Rows(dx, tokens));
}

void Router::BackwardWeights(ConstTensorView x) {
  gate_.BackwardWeight(*context_.kernels, d_logits_, norm_.output());
  norm_.BackwardWeight(d_rows_, x);
}

}  // namespace weft
