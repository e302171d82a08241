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

}  // namespace

Router::Router(const ModelContext& context, Bucket& bucket, int32_t layer)
    : context_(context),
      norm_(context, bucket, absl::StrCat("layers.", layer, ".ffn_norm")),
      gate_(bucket, absl::StrCat("layers.", layer, ".router")),
      storage_(context.kernels->memory()) {
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
  for (TensorView* of_choices :
       {&experts_, &forward_places_, &backward_places_, &row_token_, &row_choice_})
    storage_.Add(*of_choices, DType::kI32, {tokens, k});
  // What products read.
  storage_.Add(d_logits_, context.spec.dtype(), {tokens, experts});
  storage_.Add(d_rows_, context.spec.dtype(), {tokens, width});
  storage_.Make();
  for (std::vector<int32_t>* of_choices :
       {&chosen_, &slot_of_, &row_in_block_, &places_, &tokens_, &choices_}) {
    of_choices->resize(static_cast<size_t>(tokens * k));
  }
  for (std::vector<int32_t>* per_expert : {&expert_counts_, &step_counts_, &capacity_counts_}) {
    per_expert->resize(static_cast<size_t>(experts));
  }
}

void Router::Prepare(const LayerCut& cut) {
  cut_ = &cut;
  forward_order_.Prepare(*placement_, cut.of(Direction::kForward).degree);
  backward_order_.Prepare(*placement_, cut.of(Direction::kBackward).degree);
  segment_counts_.resize(static_cast<size_t>(cut.segments()) * taken_.size());
  std::fill(step_counts_.begin(), step_counts_.end(), 0);
}

void Router::Place(const ExpertPlacement& placement) {
  placement_ = &placement;
  const GroupShape shape = EpShape(context_.topology, context_.layout, context_.rank);
  slots_for_.clear();
  for (int32_t e = 0; e < placement.experts(); ++e)
    slots_for_.push_back(placement.SlotsFor(shape.me, e, shape.members_per_node));
  const auto slots = static_cast<size_t>(placement.slots());
  counts_.resize(slots);
  chunk_of_.resize(slots);
  taken_.resize(slots);
}

void Router::Forward(int32_t piece, const RoutedBatch& batch, ConstTensorView x,
                     ExchangeBuffers& send, TensorView balance_loss) {
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
  if (!forced_.has_value()) ReadExperts(tokens);
  AssignRows(tokens);
  BalanceLoss(tokens, balance_loss);
  const auto fill = [&](int32_t chunk, ConstTensorView token, ConstTensorView) {
    send.ReserveSend(chunk, token.elements());
    kernels.GatherRows(norm_.output(), token, send.send(chunk, token.elements()));
  };
  FillPlaces(Direction::kForward, piece, forward_places_, fill);
}

void Router::ForceExperts(RowRange tokens, const RoutedBatch& batch) {
  const int64_t k = context_.spec.moe.top_k;
  for (int64_t t = tokens.begin; t < tokens.end; ++t) {
    forced_->Choose(batch, t, {chosen_.data() + t * k, static_cast<size_t>(k)});
  }
  context_.kernels->memory().FromHost(View(chosen_.data() + tokens.begin * k, {tokens.count(), k}),
                                      Rows(experts_, tokens));
}

void Router::ReadExperts(RowRange tokens) {
  const int64_t k = context_.spec.moe.top_k;
  context_.kernels->memory().ToHost(Rows(experts_, tokens),
                                    View(chosen_.data() + tokens.begin * k, {tokens.count(), k}));
}

void Router::AssignRows(RowRange tokens) {
  const int64_t k = context_.spec.moe.top_k;
  const int64_t length = context_.batch.length;
  const int64_t capacity = CapacityOf(context_.spec, length);
  const size_t slots = taken_.size();
  const auto me = static_cast<size_t>(context_.layout.ep_index(context_.rank));
  const int32_t* chosen = chosen_.data();
  int32_t* slot_of = slot_of_.data();
  int32_t* row = row_in_block_.data();
  if (tokens.begin == 0) {
    std::fill(expert_counts_.begin(), expert_counts_.end(), 0);
    std::fill(counts_.begin(), counts_.end(), 0);
    std::fill(segment_counts_.begin(), segment_counts_.end(), 0);
    dropped_ = 0;
  }
  int32_t segment = 0;
  for (int64_t t = tokens.begin; t < tokens.end; ++t) {
    if (t % length == 0) std::fill(capacity_counts_.begin(), capacity_counts_.end(), 0);
    while (cut_->segment_end(segment) <= t) ++segment;
    int32_t* of_segment = segment_counts_.data() + static_cast<size_t>(segment) * slots;
    for (int64_t i = t * k; i < (t + 1) * k; ++i) {
      const auto e = static_cast<size_t>(chosen[i]);
      if (capacity_counts_[e]++ < capacity) {
        // In turn; the first turn differs by source, so that few rows are dealt out evenly, too.
        const std::vector<int32_t>& to = slots_for_[e];
        slot_of[i] = to[(me + static_cast<size_t>(expert_counts_[e]++)) % to.size()];
        const auto slot = static_cast<size_t>(slot_of[i]);
        ++step_counts_[e];
        row[i] = counts_[slot]++;
        ++of_segment[slot];
      } else {
        row[i] = -1;
        ++dropped_;
      }
    }
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

template <typename Fill>
void Router::FillPlaces(Direction direction, int32_t piece, TensorView places, Fill fill) {
  SendOrder& order = direction == Direction::kForward ? forward_order_ : backward_order_;
  const RowRange chunks = cut_->chunks_of(direction, piece);
  for (auto chunk = static_cast<int32_t>(chunks.begin); chunk < chunks.end; ++chunk) {
    for (size_t s = 0; s < taken_.size(); ++s) {
      taken_[s] =
          cut_->rows(direction, chunk, std::span(segment_counts_).subspan(s), taken_.size());
    }
    order.Append(chunk, taken_);
  }
  const int64_t k = context_.spec.moe.top_k;
  const RowRange tokens = cut_->tokens(direction, piece);
  const int32_t* slot_of = slot_of_.data();
  const int32_t* row = row_in_block_.data();
  int32_t* place = places_.data();
  // The rows of a slot come in order, so its chunks do.
  std::fill(chunk_of_.begin(), chunk_of_.end(), static_cast<int32_t>(chunks.begin));
  for (int64_t i = tokens.begin * k; i < tokens.end * k; ++i) {
    if (row[i] < 0) {
      place[i] = -1;
      continue;
    }
    int32_t& chunk = chunk_of_[static_cast<size_t>(slot_of[i])];
    while (order.block_rows(chunk, slot_of[i]).end <= row[i]) ++chunk;
    const int64_t position =
        order.block_begin(chunk, slot_of[i]) + row[i] - order.block_rows(chunk, slot_of[i]).begin;
    place[i] = static_cast<int32_t>(position);
    tokens_[static_cast<size_t>(position)] = static_cast<int32_t>(i / k);
    choices_[static_cast<size_t>(position)] = static_cast<int32_t>(i);
  }
  Memory& memory = context_.kernels->memory();
  memory.FromHost(View(place + tokens.begin * k, {tokens.count(), k}), Rows(places, tokens));
  for (auto chunk = static_cast<int32_t>(chunks.begin); chunk < chunks.end; ++chunk) {
    const int64_t first = order.chunk_begin(chunk);
    const Shape rows = {order.chunk_rows(chunk)};
    const TensorView row_token = View(row_token_.as<int32_t>() + first, rows);
    const TensorView row_choice = View(row_choice_.as<int32_t>() + first, rows);
    memory.FromHost(View(tokens_.data() + first, rows), row_token);
    memory.FromHost(View(choices_.data() + first, rows), row_choice);
    fill(chunk, row_token, row_choice);
  }
}

void Router::Combine(int32_t piece, ConstTensorView x, ConstTensorView returned, TensorView y) {
  Kernels& kernels = *context_.kernels;
  const RowRange tokens = cut_->tokens(Direction::kForward, piece);
  const TensorView out = Rows(y, tokens);
  kernels.GatherSum(returned, Rows(forward_places_, tokens), Rows(weights_, tokens), false, out);
  kernels.Add(Rows(x, tokens), out, out);
}

void Router::CombineBackward(int32_t piece, ConstTensorView dy, ConstTensorView returned,
                             ExchangeBuffers& send) {
  Kernels& kernels = *context_.kernels;
  const RowRange tokens = cut_->tokens(Direction::kBackward, piece);
  kernels.GatherDot(Rows(dy, tokens), returned, Rows(forward_places_, tokens),
                    Rows(d_weights_, tokens));
  const TensorView weights = View(weights_.as<float>(), {weights_.elements(), 1});
  const auto fill = [&](int32_t chunk, ConstTensorView token, ConstTensorView choice) {
    const int64_t rows = token.elements();
    const TensorView weight = View(row_weight_.as<float>(), {rows, 1});
    kernels.GatherRows(weights, choice, weight);
    send.ReserveSend(chunk, rows);
    kernels.GatherScaledRows(dy, token, weight, send.send(chunk, rows));
  };
  FillPlaces(Direction::kBackward, piece, backward_places_, fill);
}

void Router::Backward(int32_t piece, ConstTensorView d_returned, ConstTensorView dy,
                      ConstTensorView x, TensorView dx) {
  Kernels& kernels = *context_.kernels;
  const RowRange tokens = cut_->tokens(Direction::kBackward, piece);
  const TensorView d_normed = Rows(d_rows_, tokens);
  const TensorView d_logits = Rows(d_logits_, tokens);
  kernels.GatherSum(d_returned, Rows(backward_places_, tokens), {}, false, d_normed);
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
