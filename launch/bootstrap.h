#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "comm/backend.h"
#include "graph/topology.h"
#include "runtime/options.h"

// From what the machine and the configuration say to topology, layout and backend.

namespace weft {

// Nodes as the configuration has them (cluster.ranks_per_node), or as the hosts are: nodes[r] is
// the node of rank r. kInvalidArgument when nodes would have different numbers of ranks.
absl::StatusOr<Topology> TopologyOf(const ClusterOptions& cluster, const std::vector<int>& nodes);

// cluster.expert_parallel and expert_sharding; what is 0 is chosen: the aligned layout (EP across
// nodes, ESP inside) when both are. Rest of the world: copies (EDP). MP is cluster.tensor_parallel.
// kInvalidArgument, in one sentence, when it does not fit.
absl::StatusOr<Layout> LayoutOf(const ClusterOptions& cluster, const Topology& topology,
                                int32_t num_experts);

// `backend` itself, or behind the emulated links of the configuration.
std::unique_ptr<Backend> WithEmulatedLinks(std::unique_ptr<Backend> backend,
                                           const ClusterOptions& cluster, const Topology& topology);

// cluster.compute_processors: the calling thread, and those that it creates from now on, keep to
// the others; the compute stream goes there by itself. kInvalidArgument when the process may not
// use one of them, or no other is left.
absl::Status LeaveComputeProcessors(const ClusterOptions& cluster);

// "links inside a node 400 MB/s + 20 us, ..., computation at 0.25 of its speed" or empty.
std::string DescribeEmulation(const ClusterOptions& cluster);

}  // namespace weft
