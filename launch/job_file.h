#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "graph/topology.h"

// job.json in a run directory: how the job was laid out over ranks, so that `weft resume` starts
// equally many and `weft explain` rebuilds the same step graph.

namespace weft {

struct JobShape {
  Topology topology;
  Layout layout;
};

absl::Status WriteJobFile(const std::string& run_directory, const JobShape& shape);
absl::StatusOr<JobShape> LoadJobFile(const std::string& run_directory);
// kInvalidArgument when the run was laid out in another way than `shape`.
absl::Status CheckJobFile(const std::string& run_directory, const JobShape& shape);

}  // namespace weft
