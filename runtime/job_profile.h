#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "graph/profile_table.h"
#include "runtime/options.h"
#include "runtime/worker.h"

namespace weft {

struct JobProfileArgs {
  Backend& backend;  // of the worker
  Worker& worker;
  const TuningOptions& tuning;
  std::string machine;  // what costs depend on beside the layout: device, collectives, emulation
  // The way of computing products of groups that the run has used so far, by name; empty: it begins
  // now.
  std::string products_so_far;
};

struct JobProfile {
  ProfileTable table;             // with its fingerprint; complete on rank 0
  std::vector<std::string> news;  // what was found, in sentences
};

// COLLECTIVE. What a job knows of its machine before its first step: the costs of its operations,
// measured or those of tuning.profile, and in which of the ways that its kernels know products of
// groups are computed, which they do from now on. That is tuning.grouped_products, or what the run
// has used so far, or that of tuning.profile, or what is measured to be fastest.
// kInvalidArgument: a profile of another machine, or a way that the device does not have.
absl::StatusOr<JobProfile> FindJobProfile(const JobProfileArgs& args);

}  // namespace weft
