#include "models/moe/routed_rows.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/check.h"

namespace weft {
namespace {

// The hot_share rule of HotOrCold, by the number of hot experts that a token has so far.
std::vector<double> HotOrColdShares(const MoeSpec& moe) {
  const int32_t k = moe.top_k, hot = HotExperts(moe), cold = moe.num_experts - hot;
  std::vector<double> has(static_cast<size_t>(k) + 1, 0.0);  // [hot ones] -> probability
  has[0] = 1;
  for (int32_t i = 0; i < k; ++i) {
    for (int32_t h = i; h >= 0; --h) {
      double next_hot = moe.hot_share;
      if (h == hot) next_hot = 0;
      if (i - h == cold) next_hot = 1;
      const double now = has[static_cast<size_t>(h)];
      has[static_cast<size_t>(h) + 1] += now * next_hot;
      has[static_cast<size_t>(h)] = now * (1 - next_hot);
    }
  }
  double hot_choices = 0;
  for (int32_t h = 0; h <= k; ++h) hot_choices += h * has[static_cast<size_t>(h)];
  std::vector<double> shares(static_cast<size_t>(moe.num_experts));
  for (int32_t place = 0; place < moe.num_experts; ++place) {
    shares[static_cast<size_t>(place)] = place < hot ? hot_choices / hot : (k - hot_choices) / cold;
  }
  return shares;
}

// Drawing one after the other without replacement by weights w is the order in which exponential
// clocks of rates w ring. An expert is chosen when fewer than k others have rung before it:
// the integral over t of w e^(-w t) P(fewer than k others by t), by the trapezoidal rule over
// log t, which converges exponentially because the integrand vanishes at both ends.
std::vector<double> PopularityShares(const MoeSpec& moe) {
  const auto experts = static_cast<size_t>(moe.num_experts);
  const auto k = static_cast<size_t>(moe.top_k);
  std::vector<double> rate(experts), shares(experts, 0.0);
  for (size_t i = 0; i < experts; ++i) {
    rate[i] = std::pow(static_cast<double>(i) + 1, -moe.zipf_exponent);
  }
  const double least = *std::min_element(rate.begin(), rate.end());
  // before[i][m]: of the experts before i exactly m have rung; behind[i][m]: of those from i on at
  // most m.
  std::vector<double> before((experts + 1) * k), behind((experts + 1) * k);
  const auto add = [k](const double* counts, double rung, double* to) {
    for (size_t m = 0; m < k; ++m) {
      to[m] = counts[m] * (1 - rung) + (m > 0 ? counts[m - 1] * rung : 0.0);
    }
  };
  constexpr double kStep = 0.05;
  constexpr double kFirst = -40;
  const auto points = static_cast<int>((std::log(50 / least) - kFirst) / kStep) + 1;
  for (int point = 0; point < points; ++point) {
    const double t = std::exp(kFirst + kStep * point);
    std::fill_n(before.begin(), k, 0.0);
    before[0] = 1;
    std::fill_n(behind.end() - static_cast<std::ptrdiff_t>(k), k, 1.0);
    for (size_t i = 0; i < experts; ++i) {
      add(&before[i * k], -std::expm1(-rate[i] * t), &before[(i + 1) * k]);
    }
    for (size_t i = experts; i-- > 0;) {
      add(&behind[(i + 1) * k], -std::expm1(-rate[i] * t), &behind[i * k]);
    }
    for (size_t i = 0; i < experts; ++i) {
      double fewer = 0;
      for (size_t m = 0; m < k; ++m) fewer += before[i * k + m] * behind[(i + 1) * k + k - 1 - m];
      shares[i] += kStep * t * rate[i] * std::exp(-rate[i] * t) * fewer;
    }
  }
  const double total = std::accumulate(shares.begin(), shares.end(), 0.0);
  for (double& share : shares) share *= static_cast<double>(k) / total;
  return shares;
}

}  // namespace

std::vector<double> PlaceShares(const MoeSpec& moe, Workload workload) {
  return workload == Workload::kZipf ? PopularityShares(moe) : HotOrColdShares(moe);
}

WorkloadRows::WorkloadRows(const ModelSpec& spec, const BatchShape& batch, int32_t world_size,
                           uint64_t seed, Workload workload, int64_t step)
    : batch_(batch),
      sequences_of_rank_(batch.global_sequences / world_size),
      routed_{workload, step, 0, batch.global_sequences} {
  for (int32_t layer = 0; layer < spec.num_layers; ++layer) {
    layers_.emplace_back(spec.moe, batch.length, seed, layer);
  }
  if (layers_.front().TurnOf(routed_, 0).has_value()) return;
  shares_until_ = PlaceShares(spec.moe, workload);
  std::partial_sum(shares_until_.begin(), shares_until_.end(), shares_until_.begin());
  for (const ForcedRouting& layer : layers_) {
    for (int32_t place = 0; place < spec.moe.num_experts; ++place) {
      expert_at_.push_back(layer.ExpertAt(routed_, place));
    }
  }
}

void WorkloadRows::Count(int32_t layer, int32_t micro_batch, int32_t rank, RowRange tokens,
                         std::span<int32_t> rows) const {
  const ForcedRouting& routing = layers_[static_cast<size_t>(layer)];
  const int64_t k = routing.moe().top_k, all = routing.moe().num_experts;
  RoutedBatch batch = routed_;
  batch.first_sequence = rank * sequences_of_rank_ + micro_batch * batch_.sequences;
  const int64_t index = batch.first_sequence * batch_.length;  // over the step
  std::fill(rows.begin(), rows.end(), 0);
  if (shares_until_.empty()) {
    // Sequence by sequence: the turn may be another one.
    for (int64_t t = tokens.begin; t < tokens.end;) {
      const int64_t end = std::min(tokens.end, (t / batch_.length + 1) * batch_.length);
      const ForcedRouting::Turn turn = *routing.TurnOf(batch, t);
      const int64_t choices = (end - t) * k;
      const int64_t first = turn.offset + (index + t) * k;
      const int64_t each = choices / turn.count, rest = choices % turn.count;
      int64_t place = first % turn.count;
      for (int64_t i = 0; i < turn.count; ++i) {
        const int64_t expert =
            turn.begin + place < all ? turn.begin + place : turn.begin + place - all;
        rows[static_cast<size_t>(expert)] += static_cast<int32_t>(i < rest ? each + 1 : each);
        if (++place == turn.count) place = 0;
      }
      t = end;
    }
    return;
  }
  // What has been given out so far is the sum of what was due, rounded at a place between 0 and 1
  // that differs from rank to rank.
  constexpr double kGoldenRatio = 0.6180339887498949;
  const double turned = kGoldenRatio * static_cast<double>(index + tokens.begin);
  const double shift = turned - std::floor(turned);
  const auto count = static_cast<double>(tokens.count());
  const auto choices = static_cast<int32_t>(tokens.count() * k);
  const int32_t* expert_at = expert_at_.data() + layer * all;
  int32_t given = 0;
  for (size_t place = 0; place < rows.size(); ++place) {
    const auto due = static_cast<int32_t>(count * shares_until_[place] + shift);
    const int32_t until = place + 1 == rows.size() ? choices : std::min(choices, due);
    rows[static_cast<size_t>(expert_at[place])] = until - given;
    given = until;
  }
}

CountedRows::CountedRows(const ModelSpec& spec, const BatchShape& batch,
                         std::vector<std::vector<int32_t>> matrices)
    : tokens_(batch.tokens()), every_(spec.moe.every), matrices_(std::move(matrices)) {
  WEFT_CHECK(matrices_.size() == 1 ||
                 static_cast<int32_t>(matrices_.size()) == spec.num_layers / spec.moe.every,
             "one matrix, or one for every layer with experts");
}

void CountedRows::Count(int32_t layer, int32_t /*micro_batch*/, int32_t rank, RowRange tokens,
                        std::span<int32_t> rows) const {
  const auto which = matrices_.size() == 1 ? size_t{0} : static_cast<size_t>(layer / every_);
  const int32_t* counted = matrices_[which].data() + static_cast<size_t>(rank) * rows.size();
  for (size_t e = 0; e < rows.size(); ++e) {
    const int64_t until = counted[e] * tokens.end / tokens_;
    rows[e] = static_cast<int32_t>(until - counted[e] * tokens.begin / tokens_);
  }
}

}  // namespace weft
