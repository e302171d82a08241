#include "scheduler/placement/choose_placement.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <utility>
#include <vector>

#include "base/check.h"

namespace weft {
namespace {

// How many experts of the busiest member, and how many members that could relieve it, are tried.
constexpr size_t kExperts = 4;
constexpr size_t kTargets = 4;
constexpr size_t kPartners = 8;      // experts of either member, for swaps of homes
constexpr double kEvenness = 0.01;   // weight of an even spread beside the busiest rank
constexpr double kLeastGain = 1e-3;  // of the cost: less is noise

size_t Index(int32_t i) { return static_cast<size_t>(i); }

// A placement that changes expert by expert, with what it costs.
class Draft {
 public:
  Draft(const Layout& layout, int32_t members_per_node, int32_t experts, const FollowLoad& terms,
        std::span<const int64_t> rows)
      : layout_(layout),
        per_node_(members_per_node),
        experts_(experts),
        terms_(terms),
        rows_(rows),
        where_(Index(experts)),
        arrived_(Index(layout.edp * layout.ep)),
        sent_(Index(layout.world_size())),
        received_(Index(layout.world_size())),
        lent_(Index(layout.ep)),
        borrowed_(Index(layout.ep)) {
    for (int32_t e = 0; e < experts; ++e) Place(e, {HomeOf(experts, layout.ep, e)});
  }

  const std::vector<int32_t>& where(int32_t expert) const { return where_[Index(expert)]; }

  // `members`: ascending.
  void Place(int32_t expert, std::vector<int32_t> members) {
    Count(expert, -1);
    where_[Index(expert)] = std::move(members);
    Count(expert, 1);
  }

  double Cost() const {
    double busiest = 0, squares = 0, far = 0;
    for (const double rows : arrived_) {
      busiest = std::max(busiest, rows);
      squares += rows * rows;
    }
    for (size_t r = 0; r < sent_.size(); ++r) far = std::max({far, sent_[r], received_[r]});
    int32_t moved = 0;
    for (size_t m = 0; m < lent_.size(); ++m) moved = std::max({moved, lent_[m], borrowed_[m]});
    const double spread = std::sqrt(squares / static_cast<double>(arrived_.size()));
    return terms_.row_seconds * (busiest + kEvenness * spread) + terms_.far_row_seconds * far +
           terms_.move_seconds * moved;
  }

  // Members by the rows of their busiest rank, most first.
  std::vector<int32_t> Busiest() const {
    std::vector<double> load(Index(layout_.ep), 0);
    for (size_t i = 0; i < arrived_.size(); ++i) {
      double& of = load[i % load.size()];
      of = std::max(of, arrived_[i]);
    }
    std::vector<int32_t> order(load.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](int32_t a, int32_t b) { return load[Index(a)] > load[Index(b)]; });
    return order;
  }

  // The experts that work on a member, by all their rows, most first.
  std::vector<int32_t> HottestOn(int32_t member) const {
    std::vector<int32_t> on;
    for (int32_t e = 0; e < experts_; ++e) {
      if (std::binary_search(where(e).begin(), where(e).end(), member)) on.push_back(e);
    }
    const auto rows_of = [this](int32_t e) {
      int64_t sum = 0;
      for (size_t r = 0; r < sent_.size(); ++r) sum += rows_[r * Index(experts_) + Index(e)];
      return sum;
    };
    std::stable_sort(on.begin(), on.end(),
                     [&](int32_t a, int32_t b) { return rows_of(a) > rows_of(b); });
    return on;
  }

 private:
  // Adds (sign 1) or takes away (-1) what an expert brings.
  void Count(int32_t expert, int sign) {
    const std::vector<int32_t>& members = where(expert);
    if (members.empty()) return;
    const int32_t home = HomeOf(experts_, layout_.ep, expert);
    for (const int32_t m : members) {
      if (m == home) continue;
      lent_[Index(home)] += sign;
      borrowed_[Index(m)] += sign;
    }
    for (int32_t source = 0; source < layout_.ep; ++source) {
      // The rule of ExpertPlacement::SlotsFor.
      std::array<std::span<const int32_t>, 2> near_or_all = {NearOf(members, source), members};
      const std::span<const int32_t> to = near_or_all[0].empty() ? near_or_all[1] : near_or_all[0];
      const bool own = std::binary_search(to.begin(), to.end(), source);
      for (int32_t d = 0; d < layout_.edp; ++d) {
        for (int32_t j = 0; j < layout_.esp; ++j) {
          const auto rank = [&](int32_t m) {
            return Index((d * layout_.ep + m) * layout_.esp + j);
          };
          const double rows =
              sign * static_cast<double>(rows_[rank(source) * Index(experts_) + Index(expert)]);
          const auto arrived = [&](int32_t m) -> double& {
            return arrived_[Index(d * layout_.ep + m)];
          };
          if (own) {
            arrived(source) += rows;
            continue;
          }
          sent_[rank(source)] += rows;
          const double part = rows / static_cast<double>(to.size());
          for (const int32_t m : to) {
            arrived(m) += part;
            received_[rank(m)] += part;
          }
        }
      }
    }
  }

  // Those of ascending `members` that share a node with `source`.
  std::span<const int32_t> NearOf(const std::vector<int32_t>& members, int32_t source) const {
    const int32_t first = source / per_node_ * per_node_;
    const auto begin = std::lower_bound(members.begin(), members.end(), first);
    const auto end = std::lower_bound(begin, members.end(), first + per_node_);
    return {begin, end};
  }

  const Layout& layout_;
  const int32_t per_node_, experts_;
  const FollowLoad& terms_;
  const std::span<const int64_t> rows_;
  std::vector<std::vector<int32_t>> where_;  // [expert]: ascending members
  std::vector<double> arrived_;              // [EDP][EP]: rows of an ESP group
  std::vector<double> sent_, received_;      // [rank]
  std::vector<int32_t> lent_, borrowed_;     // [EP]
};

std::vector<int32_t> With(std::vector<int32_t> members, int32_t member) {
  members.insert(std::lower_bound(members.begin(), members.end(), member), member);
  return members;
}

std::vector<int32_t> Without(std::vector<int32_t> members, int32_t member) {
  members.erase(std::lower_bound(members.begin(), members.end(), member));
  return members;
}

bool Has(const std::vector<int32_t>& members, int32_t member) {
  return std::binary_search(members.begin(), members.end(), member);
}

// One or two experts that work elsewhere from now on.
using Change = std::vector<std::pair<int32_t, std::vector<int32_t>>>;

// What could unburden the busiest member.
std::vector<Change> ChangesOf(const Layout& layout, const Draft& draft, bool copies) {
  const std::vector<int32_t> order = draft.Busiest();
  const int32_t busiest = order.front();
  std::vector<int32_t> hot = draft.HottestOn(busiest);
  hot.resize(std::min(hot.size(), kExperts));
  std::vector<int32_t> everywhere(Index(layout.ep));
  std::iota(everywhere.begin(), everywhere.end(), 0);
  std::vector<Change> changes;
  for (const int32_t e : hot) {
    const std::vector<int32_t>& now = draft.where(e);
    if (copies && now != everywhere) changes.push_back({{e, everywhere}});
    for (size_t i = 0; i < std::min(order.size() - 1, kTargets); ++i) {
      const int32_t target = order[order.size() - 1 - i];
      if (Has(now, target)) continue;
      const std::vector<int32_t> moved = With(Without(now, busiest), target);
      if (copies) changes.push_back({{e, With(now, target)}});
      changes.push_back({{e, moved}});
      const std::vector<int32_t> there = draft.HottestOn(target);
      for (size_t k = 0; k < std::min(there.size(), kExperts); ++k) {
        const int32_t other = there[there.size() - 1 - k];
        if (Has(draft.where(other), busiest)) continue;
        changes.push_back(
            {{e, moved}, {other, With(Without(draft.where(other), target), busiest)}});
      }
    }
  }
  return changes;
}

// At most kPartners of them, evenly spread.
std::vector<int32_t> Sample(const std::vector<int32_t>& from) {
  const size_t count = std::min(from.size(), kPartners);
  std::vector<int32_t> sample;
  for (size_t i = 0; i < count; ++i) sample.push_back(from[i * from.size() / count]);
  return sample;
}

// What could unburden the busiest member without giving another one more experts.
std::vector<Change> SwapsOf(const Draft& draft) {
  const std::vector<int32_t> order = draft.Busiest();
  const int32_t busiest = order.front();
  std::vector<int32_t> hot = draft.HottestOn(busiest);
  hot.resize(std::min(hot.size(), kPartners));
  std::vector<Change> changes;
  for (size_t i = 0; i < std::min(order.size() - 1, kTargets); ++i) {
    const int32_t target = order[order.size() - 1 - i];
    for (const int32_t other : Sample(draft.HottestOn(target))) {
      for (const int32_t e : hot) changes.push_back({{e, {target}}, {other, {busiest}}});
    }
  }
  return changes;
}

// Steepest descent: applies the best of the changes until none pays.
template <typename ChangesOfDraft>
void Descend(int32_t most_changes, Draft& draft, ChangesOfDraft changes_of) {
  const auto apply = [&draft](const Change& change) {
    Change before;
    for (const auto& [expert, members] : change) {
      before.emplace_back(expert, draft.where(expert));
      draft.Place(expert, members);
    }
    return before;
  };
  double cost = draft.Cost();
  for (int32_t changed = 0; changed < most_changes; ++changed) {
    const Change* best = nullptr;
    double best_cost = cost * (1 - kLeastGain);
    const std::vector<Change> changes = changes_of(draft);
    for (const Change& change : changes) {
      const Change before = apply(change);
      if (const double then = draft.Cost(); then < best_cost) {
        best_cost = then;
        best = &change;
      }
      apply(before);
    }
    if (best == nullptr) return;
    apply(*best);
    cost = best_cost;
  }
}

}  // namespace

ExpertPlacement ChoosePlacement(const Layout& layout, int32_t members_per_node, int32_t experts,
                                const FollowLoad& terms, std::span<const int64_t> rows) {
  WEFT_CHECK(rows.size() == Index(layout.world_size()) * Index(experts), "rows of all ranks");
  Draft draft(layout, members_per_node, experts, terms, rows);
  Descend(4 * experts, draft,
          [&](const Draft& now) { return ChangesOf(layout, now, terms.copies); });
  std::vector<std::vector<int32_t>> by_member(Index(layout.ep));
  for (int32_t e = 0; e < experts; ++e) {
    for (const int32_t m : draft.where(e)) by_member[Index(m)].push_back(e);
  }
  absl::StatusOr<ExpertPlacement> placement = ExpertPlacement::Make(experts, std::move(by_member));
  WEFT_CHECK(placement.ok(), "every expert works somewhere");
  return *std::move(placement);
}

ExpertHomes ChooseHomes(const Layout& layout, int32_t members_per_node, const FollowLoad& terms,
                        std::span<const int64_t> rows, const ExpertHomes& now) {
  const int32_t experts = now.experts();
  WEFT_CHECK(rows.size() == Index(layout.world_size()) * Index(experts), "rows of all ranks");
  FollowLoad once = terms;
  once.move_seconds = 0;
  Draft draft(layout, members_per_node, experts, once, rows);
  Descend(4 * experts, draft, SwapsOf);
  // Who comes to a member takes the homes of those that leave it.
  std::vector<std::vector<int32_t>> vacated(Index(layout.ep)), coming(Index(layout.ep));
  for (int32_t home = 0; home < experts; ++home) {
    const int32_t from = HomeOf(experts, layout.ep, home), to = draft.where(home).front();
    if (from == to) continue;
    vacated[Index(from)].push_back(home);
    coming[Index(to)].push_back(now.expert_at(home));
  }
  std::vector<int32_t> by_home = now.by_home();
  for (size_t m = 0; m < vacated.size(); ++m) {
    for (size_t i = 0; i < vacated[m].size(); ++i) by_home[Index(vacated[m][i])] = coming[m][i];
  }
  absl::StatusOr<ExpertHomes> homes = ExpertHomes::Make(std::move(by_home));
  WEFT_CHECK(homes.ok(), "swaps keep everybody at a home");
  return *std::move(homes);
}

}  // namespace weft
