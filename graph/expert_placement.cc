#include "graph/expert_placement.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace weft {

ExpertRange ExpertsOf(int32_t num_experts, int32_t ep, int32_t ep_index) {
  // e * ep / num_experts == ep_index  <=>  e in [ceil(index * E / ep), ceil((index + 1) * E / ep))
  const int64_t experts = num_experts;
  const auto first = static_cast<int32_t>((ep_index * experts + ep - 1) / ep);
  const auto last = static_cast<int32_t>(((ep_index + 1) * experts + ep - 1) / ep);
  return {first, last - first};
}

int32_t HomeOf(int32_t num_experts, int32_t ep, int32_t expert) {
  return static_cast<int32_t>(int64_t{expert} * ep / num_experts);
}

ExpertPlacement::ExpertPlacement(int32_t experts, int32_t ep) {
  WEFT_CHECK(ep >= 1 && experts >= ep, "every member has an expert at home");
  by_member_.resize(Index(ep));
  for (int32_t e = 0; e < experts; ++e) by_member_[Index(HomeOf(experts, ep, e))].push_back(e);
  NumberSlots(experts);
}

absl::StatusOr<ExpertPlacement> ExpertPlacement::Make(int32_t experts,
                                                      std::vector<std::vector<int32_t>> by_member) {
  std::vector<bool> placed(Index(std::max(experts, 0)), false);
  for (size_t m = 0; m < by_member.size(); ++m) {
    int32_t previous = -1;
    for (const int32_t e : by_member[m]) {
      if (e <= previous || e >= experts) {
        return absl::InvalidArgumentError(
            absl::StrCat("placement: member ", m, " must name experts of 0 to ", experts - 1,
                         ", each once, in ascending order; ", e, " is not"));
      }
      previous = e;
      placed[Index(e)] = true;
    }
  }
  const auto missing = std::find(placed.begin(), placed.end(), false);
  if (missing != placed.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat("placement: nobody works for expert ", missing - placed.begin()));
  }
  ExpertPlacement placement(std::move(by_member));
  placement.NumberSlots(experts);
  return placement;
}

void ExpertPlacement::NumberSlots(int32_t experts) {
  copies_.resize(Index(experts));
  first_slot_ = {0};
  for (const std::vector<int32_t>& held : by_member_) {
    int32_t slot = first_slot_.back();
    for (const int32_t e : held) copies_[Index(e)].push_back(slot++);
    first_slot_.push_back(slot);
  }
}

int32_t ExpertPlacement::member(int32_t slot) const {
  const auto next = std::upper_bound(first_slot_.begin(), first_slot_.end(), slot);
  return static_cast<int32_t>(next - first_slot_.begin()) - 1;
}

bool ExpertPlacement::at_home() const { return *this == ExpertPlacement(experts(), members()); }

int32_t ExpertPlacement::most_moved() const {
  std::vector<int32_t> sent(Index(members())), received(Index(members()));
  for (int32_t m = 0; m < members(); ++m) {
    for (const int32_t e : experts_on(m)) {
      const int32_t home = HomeOf(experts(), members(), e);
      if (home == m) continue;
      ++sent[Index(home)];
      ++received[Index(m)];
    }
  }
  return std::max(*std::max_element(sent.begin(), sent.end()),
                  *std::max_element(received.begin(), received.end()));
}

std::vector<int32_t> ExpertPlacement::SlotsFor(int32_t source, int32_t expert,
                                               int32_t members_per_node) const {
  std::vector<int32_t> near;
  for (const int32_t slot : copies(expert)) {
    const int32_t where = member(slot);
    if (where == source) return {slot};
    if (where / members_per_node == source / members_per_node) near.push_back(slot);
  }
  if (!near.empty()) return near;
  const std::span<const int32_t> all = copies(expert);
  return {all.begin(), all.end()};
}

}  // namespace weft
