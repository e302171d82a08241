#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"

// Where the experts of a layer live, and where they work.
//
// Home e, with the master weights and the optimizer state of the expert that lives there, is on EP
// member e * EP / E. EP need not divide E. Who lives there is expert e, unless a plan has let
// experts change homes (graph/expert_homes.h): what is said here of expert e is said of the one at
// home e. Placement: which members work for which experts in one step. An expert may work away from
// home, on several members at once, or both: its weights are sent there before the step needs them
// and its gradients are sent back and added up at home. At home nothing moves.

namespace weft {

// The experts [first, first + count) at home on an EP member.
struct ExpertRange {
  int32_t first = 0;
  int32_t count = 0;
};
ExpertRange ExpertsOf(int32_t num_experts, int32_t ep, int32_t ep_index);
int32_t HomeOf(int32_t num_experts, int32_t ep, int32_t expert);

// Every member has slots, one for each expert it works for, by ascending expert; the slots of all
// members are numbered in the order of the members. At home slot e is expert e.
class ExpertPlacement {
 public:
  // All at home. REQUIRES: 1 <= ep <= experts.
  ExpertPlacement(int32_t experts, int32_t ep);
  // `by_member` [EP]: ascending experts. kInvalidArgument, in one sentence, when a member names one
  // twice, out of order or none of 0 to experts - 1, or when nobody works for an expert.
  static absl::StatusOr<ExpertPlacement> Make(int32_t experts,
                                              std::vector<std::vector<int32_t>> by_member);

  int32_t experts() const { return static_cast<int32_t>(copies_.size()); }
  int32_t members() const { return static_cast<int32_t>(by_member_.size()); }
  int32_t slots() const { return first_slot_.back(); }
  // The experts of a member's slots, ascending.
  std::span<const int32_t> experts_on(int32_t member) const { return by_member_[Index(member)]; }
  int32_t slots_on(int32_t member) const {
    return static_cast<int32_t>(by_member_[Index(member)].size());
  }
  int32_t member(int32_t slot) const;  // whose slot it is
  int32_t first_slot(int32_t member) const { return first_slot_[Index(member)]; }
  // The slots of an expert, ascending.
  std::span<const int32_t> copies(int32_t expert) const { return copies_[Index(expert)]; }
  const std::vector<std::vector<int32_t>>& by_member() const { return by_member_; }

  bool at_home() const;
  // Whether an expert works on two members: the sum of its gradients is then made of other parts.
  bool has_copies() const { return slots() > experts(); }
  // How many experts the busiest member sends or receives, whichever are more, for them to work
  // where they are placed.
  int32_t most_moved() const;

  // The slots among which `source` deals out its rows for an expert: its own, else those on its
  // node, else all. `members_per_node` consecutive members share a node.
  std::vector<int32_t> SlotsFor(int32_t source, int32_t expert, int32_t members_per_node) const;

  friend bool operator==(const ExpertPlacement& a, const ExpertPlacement& b) {
    return a.by_member_ == b.by_member_ && a.experts() == b.experts();
  }

 private:
  explicit ExpertPlacement(std::vector<std::vector<int32_t>> by_member)
      : by_member_(std::move(by_member)) {}
  static size_t Index(int32_t i) { return static_cast<size_t>(i); }
  void NumberSlots(int32_t experts);

  std::vector<std::vector<int32_t>> by_member_;
  std::vector<int32_t> first_slot_;           // [members + 1]
  std::vector<std::vector<int32_t>> copies_;  // by expert
};

}  // namespace weft
