#pragma once

#include "graph/plan.h"

namespace weft {

struct FixedPlanOptions {
  int32_t forward = 1;  // pipeline degree of every layer
  int32_t backward = 1;
  int32_t slices = 1;  // of every gradient
  int32_t streams = kNumStreams;
  AllToAllAlgorithm all_to_all = AllToAllAlgorithm::kDirect;  // where a layer has the choice
  Placements placements = {};  // of layers whose experts do not work at home
  int32_t sm_limit = 0;
  bool cut_blocks = false;  // what stands beside a pipeline is cut with it, where the batch allows
};

// A plan that nobody chose: the operations in the graph's order, all cut alike. Valid for every
// valid graph. Calibration runs it, tests compare others with it.
Plan MakeFixedPlan(const StepGraph& graph, const FixedPlanOptions& options);

}  // namespace weft
