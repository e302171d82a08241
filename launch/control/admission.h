#pragma once

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "launch/control/control_options.h"
#include "launch/control/plan_shelf.h"
#include "weft/v1/job.pb.h"

// What the coordinator and the node services ask of every message before they believe it, and the
// answers both give.

namespace weft {

// kInvalidArgument when the message is of another job.
absl::Status CheckJob(const ControlOptions& options, uint64_t job_id);

// kInvalidArgument unless `sender` is a rank of this job on the node it says, and, when `known` has
// been heard of before, still the same process.
absl::Status CheckMember(const ControlOptions& options, const v1::Member& sender,
                         const v1::Member& known);

absl::StatusOr<v1::FetchPlanResponse> FetchFrom(const PlanShelf& shelf,
                                                const ControlOptions& options,
                                                const v1::FetchPlanRequest& request);

// This process as the rank of `options`.
v1::Member ThisMember(const ControlOptions& options);

// "<who> has not been heard of for 5.1 s", or that it never was; kUnavailable.
absl::Status LostStatus(const std::string& who, bool ever_heard, absl::Duration silence);

}  // namespace weft
