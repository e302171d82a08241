#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "scheduler/planner.h"

namespace weft {

// Why the plan is as it is, for people: predicted step time, its bound and what hides behind what;
// per layer and direction every candidate degree with the predicted time of the layer alone, the
// case (closed_forms.h) and why the chosen one; the gradient slices of every window. Works for any
// plan of request.graph, also one read from a file: everything is derived again from the costs.
// Layers with equal text share it. Pure; same inputs, same text. kInvalidArgument when the plan is
// not valid for the graph.
absl::StatusOr<std::string> Explain(const PlanRequest& request, const Plan& plan);

}  // namespace weft
