#pragma once

#include "absl/status/status.h"
#include "graph/plan.h"
#include "graph/step_graph.h"

namespace weft {

// The bodies of a step graph's operations. The executor calls Run from inside a stream's Work, in
// plan order; bodies on different streams run at the same time and share memory only along the
// graph's edges.
class StepProgram {
 public:
  virtual ~StepProgram() = default;

  // Between steps, when another plan is installed: may allocate.
  virtual absl::Status Prepare(const StepGraph& graph, const Plan& plan) = 0;
  // Runs one task. *size: the regressor as it really was (graph/cost_key.h).
  virtual absl::Status Run(const Op& op, const PlanTask& task, double* size) = 0;
};

}  // namespace weft
