#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "absl/status/statusor.h"

namespace weft {

// The ways to do one all-to-all in a group that spans nodes (docs/collectives.md). A group with one
// kind of link has nothing to gain: there every one is kDirect.
enum class AllToAllAlgorithm : uint8_t {
  kDirect,  // everyone to everyone in one step
  kPipe,    // the pairs inside the nodes and the pairs between them, two steps at once (ScheMoE)
  k2DH,     // to the node's member of the destination's local index, then between nodes (Tutel)
  k1DH,     // to the node's first member, between the first members, from there (Hetu)
};
inline constexpr std::array kAllToAllAlgorithms = {
    AllToAllAlgorithm::kDirect, AllToAllAlgorithm::kPipe, AllToAllAlgorithm::k2DH,
    AllToAllAlgorithm::k1DH};
inline constexpr size_t kMaxExchangeSteps = 3;

std::string_view Name(AllToAllAlgorithm algorithm);  // "direct", "pipe", "2dh", "1dh"
absl::StatusOr<AllToAllAlgorithm> ParseAllToAllAlgorithm(std::string_view name);

}  // namespace weft
