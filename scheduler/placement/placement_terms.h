#pragma once

#include "graph/plan.h"
#include "graph/step_graph.h"
#include "scheduler/cost_model.h"

namespace weft {

// What ChoosePlacement weighs, from measured costs: of one more row, or one more expert, in the
// first layer whose experts can move, what it adds at the expected sizes. Communication counts
// `exposed` times: the part of it that is not hidden behind computation.
//   row_seconds      experts' forward, backward and dW, per row
//   far_row_seconds  direct dispatch and combine, forward and backward, per row
//   move_seconds     weights there and gradients back, per expert
// `rows`: expected on a rank, per micro-batch, after the ESP all-gather; `sent_rows`: those that it
// dispatches to others. All zero when no experts can move.
FollowLoad PlacementTerms(const StepGraph& graph, const CostModel& costs, double rows,
                          double sent_rows, double exposed);

}  // namespace weft
