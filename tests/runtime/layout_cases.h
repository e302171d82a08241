#pragma once

#include <vector>

#include "tests/runtime/tiny_job.h"

namespace weft {

// A layout and what a plan may do with it.
struct LayoutCase {
  const char* name;
  Topology topology;
  Layout layout;
  Placements placements = {};
  int32_t micro_batches = 1;
  bool cut_blocks = false;
  AllToAllAlgorithm all_to_all = AllToAllAlgorithm::kDirect;
  Routing routing = Routing::kLearned;
  int32_t shared_experts = 0;

  TinyJob job() const;
};

// Every way for rows, weights and gradients through a rank.
std::vector<LayoutCase> LayoutCases();

}  // namespace weft
