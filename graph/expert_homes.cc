#include "graph/expert_homes.h"

#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"

namespace weft {

ExpertHomes::ExpertHomes(int32_t experts) : expert_at_(static_cast<size_t>(experts)) {
  std::iota(expert_at_.begin(), expert_at_.end(), 0);
  home_of_ = expert_at_;
}

absl::StatusOr<ExpertHomes> ExpertHomes::Make(std::vector<int32_t> experts) {
  const auto count = static_cast<int32_t>(experts.size());
  ExpertHomes homes;
  homes.home_of_.assign(experts.size(), -1);
  for (int32_t home = 0; home < count; ++home) {
    const int32_t e = experts[static_cast<size_t>(home)];
    if (e < 0 || e >= count || homes.home_of_[static_cast<size_t>(e)] >= 0) {
      return absl::InvalidArgumentError(absl::StrCat("homes: each of experts 0 to ", count - 1,
                                                     " must live at one home; expert ", e,
                                                     " at home ", home, " does not"));
    }
    homes.home_of_[static_cast<size_t>(e)] = home;
  }
  homes.expert_at_ = std::move(experts);
  return homes;
}

}  // namespace weft
