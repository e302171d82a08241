#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"

namespace weft {

// Which expert of a layer lives at which home. A layer has as many homes as experts; home h is on
// EP member h * EP / E for ever (graph/expert_placement.h). By the configuration expert e lives at
// home e; between two steps experts may change homes, with their master weights and optimizer
// state. No member gets more experts, or fewer, than it has homes.
//
// The router knows experts. Whatever is behind it (placements, slots, rows by expert, buckets)
// counts homes.
class ExpertHomes {
 public:
  ExpertHomes() = default;  // of a layer without experts
  // As the configuration says.
  explicit ExpertHomes(int32_t experts);
  // experts[h] lives at home h. kInvalidArgument, in one sentence, when one lives nowhere.
  static absl::StatusOr<ExpertHomes> Make(std::vector<int32_t> experts);

  int32_t experts() const { return static_cast<int32_t>(expert_at_.size()); }
  int32_t expert_at(int32_t home) const { return expert_at_[static_cast<size_t>(home)]; }
  int32_t home_of(int32_t expert) const { return home_of_[static_cast<size_t>(expert)]; }
  const std::vector<int32_t>& by_home() const { return expert_at_; }
  bool as_configured() const { return *this == ExpertHomes(experts()); }

  friend bool operator==(const ExpertHomes&, const ExpertHomes&) = default;

 private:
  std::vector<int32_t> expert_at_, home_of_;
};

}  // namespace weft
