#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "scheduler/plan_draft.h"

// What a policy is: a draft to begin with, and a list of passes over it. All policies plan the same
// graph for the same runtime, so that comparing two of them changes nothing but the plan.
//
//   sequential      no overlap: DeepSpeed-MoE without its all-to-all tricks
//   tutel           Tutel with PipeMoE's degree; one stream for communication; gradients at the end
//   tutel_improved  ... with whole gradients beside the dense parts
//   lina            ... with gradients in chunks of 30 MB that yield to the all-to-alls (ATC'23)
//   fsmoe_no_iio    ... with gradients partitioned over the windows of the step (ASPLOS'25)
//   fsmoe           ... and intra-node and inter-node communication on two streams
//   flowmoe         whole blocks in the pipeline, gradient chunks that yield (NeurIPS'25)
//   weft            the best of these, and a search over all they fix

namespace weft {

class PlanPass;
using PlanPasses = std::vector<std::unique_ptr<const PlanPass>>;

// In the order above.
const std::vector<std::string>& PolicyNames();

// kInvalidArgument, with the known ones, for a policy that is not.
absl::Status CheckPolicy(std::string_view policy);

// The passes of all policies, each once, by name.
const std::vector<std::string>& PassNames();

// What the policy takes for granted: how many streams, how they are served, how gradients are cut.
// REQUIRES: CheckPolicy(policy).
PlanDraft StartOf(std::string_view policy, const StepModel& model);

// The passes of a policy in their order, without those named in `disabled`. "sequential" has none:
// degree 1, one task at a time, gradients at the end. kInvalidArgument for an unknown policy, or a
// pass that no policy has, with the known ones.
absl::StatusOr<PlanPasses> MakePasses(std::string_view policy,
                                      const std::vector<std::string>& disabled = {});

}  // namespace weft
