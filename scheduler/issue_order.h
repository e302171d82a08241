#pragma once

#include <cstdint>
#include <vector>

#include "graph/plan.h"
#include "scheduler/plan_draft.h"
#include "scheduler/schedule.h"
#include "scheduler/step_model.h"

// From a draft's decisions to tasks in one order, and to the seconds that they take.

namespace weft {

struct IssueOrder {
  std::vector<PlanTask> tasks;  // without predictions
  Schedule schedule;            // of the same tasks
  // Tasks with equal numbers were issued together: the communication of a pipeline between two
  // computations. FillWindows sees them as one piece.
  std::vector<int32_t> group;
};

enum class Gradients : uint8_t { kIncluded, kLeftOut };

// The tasks of a draft in their global order. kLeftOut: as if the model had no gradient chains (to
// find the windows).
IssueOrder MakeIssueOrder(const StepModel& model, const PlanDraft& draft,
                          Gradients gradients = Gradients::kIncluded);

// The simulated seconds of the step.
double SecondsOf(const StepModel& model, const PlanDraft& draft);

}  // namespace weft
