#pragma once

#include "scheduler/issuer.h"
#include "scheduler/plan_draft.h"
#include "scheduler/step_model.h"

// A draft's service on top of what it issues: the order in which streams serve the tasks, and how
// long that takes.

namespace weft {

// The tasks of a draft in their global order. kLeftOut: as if the model had no gradient chains (to
// find the windows).
IssueOrder MakeIssueOrder(const StepModel& model, const PlanDraft& draft,
                          Gradients gradients = Gradients::kIncluded);

// The simulated seconds of the step: RunSchedule's of MakeIssueOrder's schedule, without making
// that order where nothing contends. REQUIRES: `issued` is of this draft.
double SecondsOf(const PlanDraft& draft, const IssuedTasks& issued);

}  // namespace weft
