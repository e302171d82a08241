#pragma once

#include <compare>
#include <cstdint>

// Typed integers: a rank cannot be passed where an expert is meant. A default-made Id (-1) names
// nothing.

namespace weft {

template <typename Tag>
struct Id {
  int32_t value = -1;

  bool valid() const { return value >= 0; }
  friend auto operator<=>(const Id&, const Id&) = default;
};

using RankId = Id<struct RankTag>;      // global rank, 0..world_size-1
using ExpertId = Id<struct ExpertTag>;  // global expert of one layer, 0..num_experts-1
using OpId = Id<struct OpTag>;          // index into StepGraph::ops

}  // namespace weft
