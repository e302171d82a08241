#pragma once

#include <vector>

#include "scheduler/plan_draft.h"

// Where gradients can travel without being in anyone's way.

namespace weft {

// A stretch in which the stream of inter-node communication has nothing to do.
struct Window {
  OpId before;  // what ends it
  double begin = 0;
  double end = 0;                // a slice that ends by then delays nothing
  bool inside_pipeline = false;  // between the communication before and after the experts
};

// A gradient with a step between nodes.
struct PendingGradient {
  size_t chain = 0;
  double ready = 0;
  int64_t done = 0;  // elements placed
};

// A step without gradients: its windows in order, and the gradients in the order in which they
// become ready. Before tasks that were issued together a window reaches as far as they can be put
// off without ending later: they close up (FSMoE's t_olp,moe = T - 2ra).
struct GradientWindows {
  std::vector<Window> windows;
  std::vector<PendingGradient> pending;
};
GradientWindows FindGradientWindows(const StepModel& model, const PlanDraft& draft);

// Greedy filling (FSMoE section 5, step 1, on the simulated step): gradients in backward order,
// each window takes as much as fits before it would delay the step, the rest goes to the end. A
// slice that does not complete its gradient must carry more work than another slice costs at its
// start.
std::vector<std::vector<DraftSlice>> FillWindows(const StepModel& model, const PlanDraft& draft);

}  // namespace weft
