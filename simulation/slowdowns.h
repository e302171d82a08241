#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "graph/topology.h"

namespace weft {

// A rank, or all ranks of a node, that take longer than the others: computation `compute` times as
// long, every collective that they are part of `link` times as long.
struct Straggler {
  int32_t rank = -1;  // one of rank and node
  int32_t node = -1;
  double compute = 1;
  double link = 1;
};

// kInvalidArgument, in one sentence, unless it names one rank or one node of the cluster and at
// least one factor other than 1, both at least 1.
absl::Status ValidateStraggler(const Straggler& straggler, const Topology& topology);

// "rank=3,compute=1.5", "node=2,link=2". kInvalidArgument, in one sentence, for anything else.
absl::StatusOr<Straggler> ParseStraggler(std::string_view text);

// By how much ranks are slower.
struct Slowdowns {
  std::vector<double> compute;  // [rank]
  std::vector<double> link;     // [rank]
};

// What several entries say of one rank is multiplied. REQUIRES: valid stragglers.
Slowdowns SlowdownsOf(const std::vector<Straggler>& stragglers, const Topology& topology);

}  // namespace weft
