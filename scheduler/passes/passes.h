#pragma once

#include <array>
#include <memory>
#include <vector>

#include "scheduler/planner.h"

// The passes of policy "weft", in their order. Each can be left out (MakePasses).

namespace weft {

// Per layer and direction the candidate degree with the fastest pipeline, alone and without
// gradients.
std::unique_ptr<const PlanPass> MakeChooseDegrees();

// Lets the intra-node stream serve gathers and scatters in order of readiness, with the degree that
// is best then.
std::unique_ptr<const PlanPass> MakeReadyFirst();

// Moves the experts' weight gradients to where compute waits for the next pipeline's dispatch.
std::unique_ptr<const PlanPass> MakeDelayWgrad();

// Cuts dense gradients into slices that fill the idle windows of the inter-node stream in later
// backward layers.
std::unique_ptr<const PlanPass> MakeSliceGradients();

// Coordinate descent over what the passes before it have decided, by whole-step simulation, within
// PlanRequest::search_tasks.
std::unique_ptr<const PlanPass> MakeRefine();

// The service orders of the intra-node stream that are compared.
inline constexpr std::array<IntraRule, 4> kIntraRules = {
    IntraRule::kIssueOrder, IntraRule::kWithinPipelines, IntraRule::kReadiness,
    IntraRule::kPipelineFirst};

// A change must gain more than rounding.
inline bool Faster(double candidate, double best) { return candidate < best * (1 - 1e-9); }

// Greedy filling of the windows that `draft` leaves on the inter-node stream (FSMoE section 5, step
// 1, on the simulated step): gradients in backward order, each window takes as much as fits before
// it would delay the step, the rest goes to the end. A slice that does not complete its gradient
// must carry more work than another slice costs at its start.
std::vector<std::vector<DraftSlice>> FillWindows(const StepModel& model, const PlanDraft& draft);

// The fastest of: all gradients at the end, the same with early scatters, windows filled
// (FillWindows). Returns its time.
double ChooseSlices(const StepModel& model, PlanDraft& draft);

}  // namespace weft
