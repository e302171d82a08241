#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "simulation/cluster.h"

// A cluster in YAML, for `weft simulate` (docs/simulation.md says what every key means;
// configs/clusters/ has examples).

namespace weft {

struct ClusterFile {
  Cluster cluster;
  std::vector<int64_t> grid_lengths = {512, 1024, 2048};  // of the FSMoE grid on this cluster
};

// kInvalidArgument with a line for every mistake: unknown or missing key, wrong type or value. A
// link that the shape of the cluster needs must be there.
absl::StatusOr<ClusterFile> LoadClusterFile(const std::string& path);
absl::StatusOr<ClusterFile> LoadClusterText(std::string_view text, const std::string& name);

}  // namespace weft
