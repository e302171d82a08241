#include "launch/bootstrap.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "base/thread_processors.h"
#include "base/units.h"
#include "comm/sim/sim_backend.h"

namespace weft {

absl::StatusOr<Topology> TopologyOf(const ClusterOptions& cluster, const std::vector<int>& nodes) {
  Topology topology;
  topology.world_size = static_cast<int32_t>(nodes.size());
  topology.ranks_per_node = cluster.ranks_per_node;
  if (cluster.ranks_per_node > 0) {
    if (topology.world_size % cluster.ranks_per_node != 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("cluster.ranks_per_node ", cluster.ranks_per_node, " does not divide the ",
                       topology.world_size, " ranks that were started"));
    }
    return topology;
  }
  topology.ranks_per_node = static_cast<int32_t>(std::count(nodes.begin(), nodes.end(), nodes[0]));
  for (size_t rank = 0; rank < nodes.size(); ++rank) {
    if (nodes[rank] == static_cast<int>(rank) / topology.ranks_per_node &&
        topology.world_size % topology.ranks_per_node == 0) {
      continue;
    }
    return absl::InvalidArgumentError(absl::StrCat(
        "rank ", rank, " is on node ", nodes[rank],
        ", but every node must have equally many, consecutive ranks (mpirun --map-by slot); or set "
        "cluster.ranks_per_node to say what counts as a node"));
  }
  return topology;
}

absl::StatusOr<Layout> LayoutOf(const ClusterOptions& cluster, const Topology& topology,
                                int32_t num_experts) {
  Layout layout;
  layout.ep = cluster.expert_parallel;
  layout.esp = cluster.expert_sharding;
  layout.mp = cluster.tensor_parallel;
  layout.zero_stage = cluster.zero_stage;
  if (layout.ep == 0 && layout.esp == 0) layout.esp = topology.ranks_per_node;
  if (layout.esp == 0) layout.esp = 1;
  // As many ranks as can share the experts out evenly among copies.
  const int32_t blocks = topology.world_size / layout.esp;
  if (layout.ep == 0) {
    layout.ep = 1;
    for (int32_t ep = 2; ep <= std::min(blocks, num_experts); ++ep) {
      if (blocks % ep == 0) layout.ep = ep;
    }
  }
  if (topology.world_size % (int64_t{layout.ep} * layout.esp) != 0) {  // of any numbers
    return absl::InvalidArgumentError(absl::StrCat("cluster: expert_parallel ", layout.ep,
                                                   " x expert_sharding ", layout.esp,
                                                   " does not divide the ", topology.world_size,
                                                   " ranks that were started; their product must"));
  }
  layout.edp = topology.world_size / layout.expert_ranks();
  WEFT_RETURN_IF_ERROR(ValidateLayout(topology, layout, num_experts));
  return layout;
}

std::unique_ptr<Backend> WithEmulatedLinks(std::unique_ptr<Backend> backend,
                                           const ClusterOptions& cluster,
                                           const Topology& topology) {
  if (!cluster.emulate) return backend;
  return std::make_unique<SimBackend>(
      std::move(backend), [cluster, topology](const std::vector<RankId>& ranks) {
        const bool inter = LinkOf(topology, ranks) == LinkClass::kInterNode;
        const EmulatedLink& link = inter ? cluster.inter : cluster.intra;
        return SimLink{inter ? 1 : 0, {link.bandwidth, link.latency}};
      });
}

absl::Status LeaveComputeProcessors(const ClusterOptions& cluster) {
  const std::vector<int32_t>& compute = cluster.compute_processors;
  if (compute.empty()) return absl::OkStatus();
  const std::vector<int32_t> own = OwnProcessors();
  std::vector<int32_t> others;
  for (const int32_t processor : own) {
    if (std::find(compute.begin(), compute.end(), processor) == compute.end())
      others.push_back(processor);
  }
  for (const int32_t processor : compute) {
    if (std::find(own.begin(), own.end(), processor) != own.end()) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("cluster.compute_processors: this rank may not use processor ", processor,
                     "; it may use ", absl::StrJoin(own, ", ")));
  }
  if (others.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("cluster.compute_processors names all that this rank may use (",
                     absl::StrJoin(own, ", "), "); communication needs one as well"));
  }
  if (!SetOwnProcessors(others))
    return absl::InternalError("the kernel refused to move a thread to processors that it may use");
  return absl::OkStatus();
}

std::string DescribeEmulation(const ClusterOptions& cluster) {
  std::vector<std::string> parts;
  const auto one = [](const char* name, const EmulatedLink& link) {
    return absl::StrFormat("%s %.0f MB/s + %s", name, link.bandwidth * 1e-6,
                           FormatSeconds(link.latency));
  };
  if (cluster.emulate) {
    parts.push_back(absl::StrCat("links ", one("inside a node", cluster.intra), ", ",
                                 one("between nodes", cluster.inter), ", per rank"));
  }
  if (cluster.compute_share < 1)
    parts.push_back(absl::StrFormat("computation at %g of its speed", cluster.compute_share));
  return absl::StrJoin(parts, "; ");
}

}  // namespace weft
