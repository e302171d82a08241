#pragma once

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "graph/plan.h"
#include "scheduler/cost_model.h"
#include "scheduler/planner.h"

// What tests of several policies and passes ask of a plan.

namespace weft {

// The plan of a request that is valid, without the passes named; a failed test otherwise.
Plan MustPlan(const PlanRequest& request, const std::vector<std::string>& disabled = {});

// [begin, end) of every slice of an operation.
std::set<std::pair<int64_t, int64_t>> SlicesOf(const Plan& plan, OpId op);

// What must hold of any plan beyond ValidatePlan, as fatal failures: its predictions are what
// Simulate says, the operations of one gradient share their slices, chunks and the dW of a layer's
// micro-batches run in order.
void CheckPlan(const StepGraph& graph, const CostModel& costs, const Plan& plan);

}  // namespace weft
