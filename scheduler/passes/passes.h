#pragma once

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "scheduler/planner.h"

// One decision each; policies.cc lists them by policy.

namespace weft {

// Per layer and direction the candidate degree with the fastest pipeline, alone and without
// gradients.
std::unique_ptr<const PlanPass> MakeChooseDegrees();

// Where an EP group spans nodes: the all-to-all algorithm that makes the step fastest, the same in
// all layers, with the degrees that choose_degrees finds for it.
std::unique_ptr<const PlanPass> MakeChooseAllToAll();
// Of those that Tutel has, direct and 2dh.
std::unique_ptr<const PlanPass> MakeChooseTutelAllToAll();

// Lets the intra-node stream serve gathers and scatters in order of readiness, with the degree that
// is best then.
std::unique_ptr<const PlanPass> MakeReadyFirst();

// Moves the experts' weight gradients to where compute waits for the next pipeline's dispatch.
std::unique_ptr<const PlanPass> MakeDelayWgrad();

// Whole gradients beside the dense parts of later backward layers (FSMoE calls it Tutel-Improved).
std::unique_ptr<const PlanPass> MakeGradientsBesideDense();

// Gradients in chunks of one size that run when nothing else is ready: the fastest of eight sizes,
// from whole down to 1/128 of the largest gradient (FlowMoE's S_p).
std::unique_ptr<const PlanPass> MakeChunkGradients();

// Attention, gate and the rest of every block enter the pipeline, cut along the sequences: the
// fastest of the candidate degrees, the same everywhere (FlowMoE's R). Keeps the draft when the
// graph has no block to cut or none pays.
std::unique_ptr<const PlanPass> MakePipelineBlocks();

// All streams served by priorities instead of a fixed order: what has the longest way to the end
// first, or gradients last; with blocks cut or not, degrees and gradient chunks chosen for it.
std::unique_ptr<const PlanPass> MakeServeByPriority();

// The fastest draft of all other policies, so that a search starts from nothing worse.
std::unique_ptr<const PlanPass> MakeBestOfPolicies();

// Cuts dense gradients into slices that fill the idle windows of the inter-node stream in later
// backward layers.
std::unique_ptr<const PlanPass> MakeSliceGradients();

// Places what slice_gradients left for the end into backward pipelines that then take longer, with
// their degrees solved again (FSMoE section 5, step 2; gradient_partition.h).
std::unique_ptr<const PlanPass> MakePartitionRest();

// Coordinate descent over what the passes before it have decided, by whole-step simulation, within
// PlanRequest::search_tasks; if some are left, from every way to serve by priority, too.
std::unique_ptr<const PlanPass> MakeRefine();

// For steps of up to 192 tasks: other degrees, blocks cut or not and gradients whole and in two,
// one change at a time and the same everywhere, each with the best of all its orders
// (optimal_order.h), as far as a number of branches allows. Last of all: it keeps an order, which
// holds for the rest of the draft as it is.
std::unique_ptr<const PlanPass> MakeImproveSmall();

// Whether the request leaves this pass out. Passes that decide several things at once ask it of
// what has a pass of its own, too.
inline bool LeavesOut(const PlanRequest& request, std::string_view pass) {
  const std::vector<std::string>& left_out = request.without_passes;
  return std::find(left_out.begin(), left_out.end(), pass) != left_out.end();
}

// The service orders of the intra-node stream that are compared.
inline constexpr std::array<IntraRule, 4> kIntraRules = {
    IntraRule::kIssueOrder, IntraRule::kWithinPipelines, IntraRule::kReadiness,
    IntraRule::kPipelineFirst};

// A service that finds its order by priorities, with whole blocks or with cut ones.
struct PriorityService {
  Service service = Service::kCriticalGaps;
  bool cut_blocks = false;
};

// All of them; cut blocks only where a graph has blocks that can be cut, and only if `cut_blocks`.
std::vector<PriorityService> PriorityServicesOf(const StepModel& model, bool cut_blocks);

// Times the best known step: a service that is as slow as that is not looked at more closely.
inline constexpr double kHopeless = 1.1;

// Serves the draft so: the fastest uniform degree with gradients as they are; unless that is
// hopeless beside `best`, then the fastest gradient chunks if they are open, then the degree once
// more. Returns the time, shorter than before or not.
double ServeBy(const PriorityService& service, DraftSimulator& simulator, double best,
               PlanDraft& draft);

// What choose_degrees does.
void ChooseDegreesAlone(DraftSimulator& simulator, PlanDraft& draft);

// Degree `degree` in every layer and direction. Blocks are cut with it when `max_pieces` > 1; a
// layer whose block would get more pieces than that gets the largest candidate that does not.
void SetUniformDegree(const StepModel& model, int32_t degree, int32_t max_pieces, PlanDraft& draft);

// The fastest of eight sizes of gradient chunks (chunk_gradients), or the draft's own, with which
// it takes `best`. Returns its time.
double ChooseChunks(DraftSimulator& simulator, double best, PlanDraft& draft);

// The fastest of: all gradients at the end, the same with early scatters, windows filled
// (gradient_windows.h). Returns its time.
double ChooseSlices(DraftSimulator& simulator, PlanDraft& draft);

}  // namespace weft
