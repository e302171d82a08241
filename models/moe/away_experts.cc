#include "models/moe/away_experts.h"

#include <algorithm>
#include <cstring>

#include "base/status_macros.h"
#include "models/op_sizes.h"

namespace weft {

AwayExperts::AwayExperts(const ModelContext& context, Bucket& home, int32_t layer)
    : context_(context), home_(home), layer_(layer) {
  const Layout& layout = context.layout;
  const ExpertRange held =
      ExpertsOf(context.spec.moe.num_experts, layout.ep, layout.ep_index(context.rank));
  elements_ = home.elements / held.count;
  away_.layer = layer;
  away_.expert = true;
}

void AwayExperts::Place(const ExpertPlacement& placement) {
  const int32_t me = context_.layout.ep_index(context_.rank);
  const int32_t members = placement.members(), experts = placement.experts();
  std::vector<int32_t> foreign;
  lent_.clear();
  rows_to_.assign(static_cast<size_t>(members), 0);
  rows_from_.assign(static_cast<size_t>(members), 0);
  for (int32_t m = 0; m < members; ++m) {
    for (const int32_t e : placement.experts_on(m)) {
      const int32_t home = HomeOf(experts, members, e);
      if (home == m) continue;
      if (home == me) {
        lent_.push_back(e);
        rows_to_[static_cast<size_t>(m)] += elements_;
      } else if (m == me) {
        foreign.push_back(e);
        rows_from_[static_cast<size_t>(home)] += elements_;
      }
    }
  }
  away_.parameters.clear();
  away_.elements = 0;
  AddExperts(context_.spec, context_.layout, context_.rank, foreign, away_);
  away_.value.Ensure<float>({away_.elements});
  away_.gradient.Ensure<float>({away_.elements});
  const auto lent = static_cast<int64_t>(lent_.size()) * elements_;
  outgoing_.Ensure<float>({lent});
  returned_.Ensure<float>({lent});
}

void AwayExperts::ZeroGradients() {
  if (away_.elements == 0) return;
  std::memset(away_.gradient.as<float>(), 0, static_cast<size_t>(away_.elements) * sizeof(float));
}

double AwayExperts::Size() const {
  return AllToAllBytes(std::max(static_cast<int64_t>(lent_.size()) * elements_, away_.elements));
}

absl::Status AwayExperts::Fetch(double* size) {
  const Layout& layout = context_.layout;
  const int32_t first =
      ExpertsOf(context_.spec.moe.num_experts, layout.ep, layout.ep_index(context_.rank)).first;
  float* out = outgoing_.as<float>();
  for (const int32_t e : lent_) {
    out = std::copy_n(home_.value.as<float>() + (e - first) * elements_, elements_, out);
  }
  *size = Size();
  return context_.ep->AllToAllV(
      {.send = View(outgoing_.as<float>(), {out - outgoing_.as<float>(), 1}),
       .send_rows = rows_to_,
       .recv = View(away_.value.as<float>(), {away_.elements, 1}),
       .recv_rows = rows_from_});
}

absl::Status AwayExperts::Return(double* size) {
  const Layout& layout = context_.layout;
  const int32_t first =
      ExpertsOf(context_.spec.moe.num_experts, layout.ep, layout.ep_index(context_.rank)).first;
  const auto lent = static_cast<int64_t>(lent_.size()) * elements_;
  *size = Size();
  WEFT_RETURN_IF_ERROR(
      context_.ep->AllToAllV({.send = View(away_.gradient.as<float>(), {away_.elements, 1}),
                              .send_rows = rows_from_,
                              .recv = View(returned_.as<float>(), {lent, 1}),
                              .recv_rows = rows_to_}));
  const float* back = returned_.as<float>();
  for (const int32_t e : lent_) {
    float* const sum = home_.gradient.as<float>() + (e - first) * elements_;
    for (int64_t i = 0; i < elements_; ++i) sum[i] += back[i];
    back += elements_;
  }
  return absl::OkStatus();
}

}  // namespace weft
