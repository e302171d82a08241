#pragma once

#include <array>
#include <vector>

#include "graph/plan.h"
#include "graph/span.h"
#include "graph/step_graph.h"
#include "scheduler/cost_model.h"

namespace weft {

// What a plan is expected to do, task by task (indices of plan.tasks).
struct SimulatedStep {
  double seconds = 0;          // the makespan
  std::vector<double> begin;   // seconds from the start of the step
  std::vector<double> length;  // seconds
};

// Runs the plan on the cost model: tasks are issued in the plan's order, every stream is in order,
// a task starts when its stream is free and its needs (TaskNeeds) have ended;
// plan.streams says which streams are one. Pure. REQUIRES: ValidatePlan(graph, plan).
SimulatedStep Simulate(const StepGraph& graph, const Plan& plan, const CostModel& costs);

// Seconds that each stream has to do, by StreamKind, tasks alone: no order ends before the busiest
// stream has done its share.
std::array<double, kNumStreams> AloneSeconds(const StepGraph& graph, const Plan& plan,
                                             const CostModel& costs);

// The least that any order of the plan's tasks on three streams could take (lower_bound.h).
double LowerBoundOf(const StepGraph& graph, const Plan& plan, const CostModel& costs);

// The simulated step in the shape of a measured one: rank 0, step 0, the expected sizes.
Trace TraceOf(const StepGraph& graph, const Plan& plan, const SimulatedStep& step);

}  // namespace weft
