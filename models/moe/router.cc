#include "models/moe/router.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"

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
      gate_(bucket, absl::StrCat("layers.", layer, ".router")) {
  const int64_t tokens = context.batch.tokens();
  const int64_t width = context.spec.hidden_size;
  const int64_t experts = context.spec.moe.num_experts;
  const int64_t k = context.spec.moe.top_k;
  float* floats = floats_.Ensure<float>({tokens * (4 * experts + 3 * k + width)}).as<float>();
  const auto take = [&floats, tokens](int64_t columns) {
    const TensorView view = View(floats, {tokens, columns});
    floats += tokens * columns;
    return view;
  };
  logits_ = take(experts);
  probs_ = take(experts);
  d_probs_ = take(experts);
  d_logits_ = take(experts);
  weights_ = take(k);
  d_weights_ = take(k);
  row_weight_ = take(k);
  d_rows_ = take(width);
  int32_t* ints = ints_.Ensure<int32_t>({5 * tokens * k}).as<int32_t>();
  for (TensorView* view :
       {&experts_, &row_in_block_, &forward_slots_, &backward_slots_, &row_token_}) {
    *view = View(ints, {tokens, k});
    ints += tokens * k;
  }
  counts_.resize(static_cast<size_t>(experts));
  sequence_counts_.resize(static_cast<size_t>(experts));
  mean_prob_.resize(static_cast<size_t>(experts));
}

void Router::Forward(ConstTensorView x, int32_t degree, TensorView send, double* balance_loss) {
  Kernels& kernels = *context_.kernels;
  const TensorView normed = norm_.Forward(x);
  gate_.Forward(kernels, normed, logits_);
  kernels.GateForward({.logits = logits_,
                       .top_k = context_.spec.moe.top_k,
                       .renormalize = context_.spec.moe.renormalize,
                       .probs = probs_,
                       .experts = experts_,
                       .weights = weights_});
  AssignRows();
  BalanceLoss(balance_loss);
  forward_order_.Build(counts_, context_.layout, degree);
  FillSlots(forward_order_, forward_slots_);
  kernels.GatherRows(normed, SentRows(row_token_), Rows(send, 0, sent_));
}

void Router::AssignRows() {
  const int64_t k = context_.spec.moe.top_k;
  const int64_t length = context_.batch.length;
  const int64_t capacity = CapacityOf(context_.spec, length);
  const int32_t* experts = experts_.as<int32_t>();
  int32_t* row = row_in_block_.as<int32_t>();
  std::fill(counts_.begin(), counts_.end(), 0);
  sent_ = 0;
  dropped_ = 0;
  for (int64_t s = 0; s < context_.batch.sequences; ++s) {
    std::fill(sequence_counts_.begin(), sequence_counts_.end(), 0);
    for (int64_t i = s * length * k; i < (s + 1) * length * k; ++i) {
      const auto e = static_cast<size_t>(experts[i]);
      if (sequence_counts_[e]++ < capacity) {
        row[i] = counts_[e]++;
        ++sent_;
      } else {
        row[i] = -1;
        ++dropped_;
      }
    }
  }
}

void Router::BalanceLoss(double* balance_loss) {
  const int64_t experts = context_.spec.moe.num_experts;
  const int64_t k = context_.spec.moe.top_k;
  const int64_t length = context_.batch.length;
  const double coefficient = context_.spec.moe.balance_loss * static_cast<double>(experts) /
                             static_cast<double>(context_.batch.global_sequences);
  const float* probs = probs_.as<float>();
  const int32_t* chosen = experts_.as<int32_t>();
  float* d_probs = d_probs_.as<float>();
  for (int64_t s = 0; s < context_.batch.sequences; ++s) {
    std::fill(sequence_counts_.begin(), sequence_counts_.end(), 0);
    for (int64_t i = s * length * k; i < (s + 1) * length * k; ++i)
      ++sequence_counts_[static_cast<size_t>(chosen[i])];
    std::fill(mean_prob_.begin(), mean_prob_.end(), 0.0);
    for (int64_t t = s * length; t < (s + 1) * length; ++t) {
      for (int64_t e = 0; e < experts; ++e)
        mean_prob_[static_cast<size_t>(e)] += probs[t * experts + e];
    }
    for (int64_t e = 0; e < experts; ++e) {
      const double fraction = static_cast<double>(sequence_counts_[static_cast<size_t>(e)]) /
                              static_cast<double>(k * length);
      *balance_loss +=
          coefficient * fraction * mean_prob_[static_cast<size_t>(e)] / static_cast<double>(length);
      const auto gradient =
          static_cast<float>(coefficient * fraction / static_cast<double>(length));
      for (int64_t t = s * length; t < (s + 1) * length; ++t) d_probs[t * experts + e] = gradient;
    }
  }
}

void Router::FillSlots(const SendOrder& order, TensorView slots) {
  const int64_t choices = experts_.elements();
  const int64_t k = context_.spec.moe.top_k;
  const int32_t* experts = experts_.as<int32_t>();
  const int32_t* row = row_in_block_.as<int32_t>();
  const float* weights = weights_.as<float>();
  int32_t* slot = slots.as<int32_t>();
  int32_t* token = row_token_.as<int32_t>();
  float* row_weight = row_weight_.as<float>();
  for (int64_t i = 0; i < choices; ++i) {
    if (row[i] < 0) {
      slot[i] = -1;
      continue;
    }
    const int64_t position = order.Position(experts[i], row[i]);
    slot[i] = static_cast<int32_t>(position);
    token[position] = static_cast<int32_t>(i / k);
    row_weight[position] = weights[i];
  }
}

void Router::Combine(ConstTensorView x, ConstTensorView returned, TensorView y) {
  Kernels& kernels = *context_.kernels;
  kernels.GatherSum(Rows(returned, 0, sent_), forward_slots_, weights_, false, y);
  kernels.Add(x, y, y);
}

void Router::CombineBackward(ConstTensorView dy, ConstTensorView returned, int32_t degree,
                             TensorView send) {
  Kernels& kernels = *context_.kernels;
  kernels.GatherDot(dy, Rows(returned, 0, sent_), forward_slots_, d_weights_);
  backward_order_.Build(counts_, context_.layout, degree);
  FillSlots(backward_order_, backward_slots_);
  kernels.GatherScaledRows(dy, SentRows(row_token_), View(row_weight_.as<float>(), {sent_}),
                           Rows(send, 0, sent_));
}

void Router::Backward(ConstTensorView d_returned, ConstTensorView dy, ConstTensorView x,
                      TensorView dx) {
  Kernels& kernels = *context_.kernels;
  kernels.GatherSum(Rows(d_returned, 0, sent_), backward_slots_, {}, false, d_rows_);
  kernels.GateBackward({.probs = probs_,
                        .experts = experts_,
                        .weights = weights_,
                        .d_weights = d_weights_,
                        .d_probs = d_probs_,
                        .renormalize = context_.spec.moe.renormalize,
                        .d_logits = d_logits_});
  gate_.BackwardWeight(kernels, d_logits_, norm_.output());
  gate_.BackwardData(kernels, d_logits_, d_rows_, /*accumulate=*/true);
  norm_.Backward(d_rows_, x, dx);
  kernels.Add(dx, dy, dx);
}

}  // namespace weft
