#include "models/moe/away_experts.h"

#include <algorithm>

#include "base/status_macros.h"
#include "models/op_sizes.h"

namespace weft {

AwayExperts::AwayExperts(const ModelContext& context, Bucket& home, int32_t layer)
    : context_(context),
      home_(home),
      outgoing_(context.kernels->memory()),
      returned_(context.kernels->memory()) {
  const Layout& layout = context.layout;
  const ExpertRange held =
      weft::ExpertsOf(context.spec.moe.num_experts, layout.ep, layout.ep_index(context.rank));
  elements_ = home.elements / held.count;
  away_.layer = layer;
  away_.expert = true;
  away_.dtype = home.dtype;
  away_.weights() = Buffer(context.kernels->memory());
  away_.gradient = Buffer(context.kernels->memory());
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
        foreign.push_back(home_.homes.expert_at(e));
        rows_from_[static_cast<size_t>(home)] += elements_;
      }
    }
  }
  packed_.clear();
  const int32_t first = weft::ExpertsOf(experts, members, me).first;
  for (const int32_t e : lent_) {
    packed_.push_back({e - first, static_cast<int64_t>(packed_.size()), 1});
  }
  away_.parameters.clear();
  away_.elements = 0;
  AddExperts(context_.spec, context_.layout, context_.rank, foreign, away_);
  away_.weights().Ensure(away_.dtype, {away_.elements});
  away_.gradient.Ensure<float>({away_.elements});
  const auto lent = static_cast<int64_t>(lent_.size()) * elements_;
  outgoing_.Ensure(away_.dtype, {lent});
  returned_.Ensure<float>({lent});
}

void AwayExperts::ZeroGradients() {
  context_.kernels->memory().Zero(View(away_.gradient.as<float>(), {away_.elements}));
}

double AwayExperts::Size(DType dtype) const {
  return AllToAllBytes(std::max(static_cast<int64_t>(lent_.size()) * elements_, away_.elements),
                       dtype);
}

TensorView AwayExperts::ExpertsOf(const Buffer& home, DType dtype) const {
  return home.view(dtype, {home_.elements / elements_, elements_});
}

absl::Status AwayExperts::Fetch(double* size) {
  const auto lent = static_cast<int64_t>(lent_.size());
  const DType dtype = home_.dtype;
  context_.kernels->CopyRows(ExpertsOf(home_.weights(), dtype), packed_,
                             outgoing_.view(dtype, {lent, elements_}));
  *size = Size(dtype);
  return context_.ep->AllToAllV({.send = outgoing_.view(dtype, {lent * elements_, 1}),
                                 .send_rows = rows_to_,
                                 .recv = away_.weights().view(dtype, {away_.elements, 1}),
                                 .recv_rows = rows_from_});
}

absl::Status AwayExperts::Return(double* size) {
  const auto lent = static_cast<int64_t>(lent_.size());
  *size = Size(DType::kF32);
  WEFT_RETURN_IF_ERROR(
      context_.ep->AllToAllV({.send = View(away_.gradient.as<float>(), {away_.elements, 1}),
                              .send_rows = rows_from_,
                              .recv = View(returned_.as<float>(), {lent * elements_, 1}),
                              .recv_rows = rows_to_}));
  const TensorView back = View(returned_.as<float>(), {lent, elements_});
  for (const RowBlock& block : packed_) {
    const TensorView sum = Rows(ExpertsOf(home_.gradient, DType::kF32), block.from, 1);
    context_.kernels->Add(sum, Rows(back, block.to, 1), sum);
  }
  return absl::OkStatus();
}

}  // namespace weft
