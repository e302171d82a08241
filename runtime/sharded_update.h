#pragma once

#include <vector>

#include "absl/status/status.h"
#include "graph/plan.h"
#include "graph/topology.h"
#include "models/update_shard.h"
#include "runtime/groups.h"

namespace weft {

// ZeRO-1's exchanges of one rank: gradients are summed to the rank that updates them, inside the
// node, then between nodes; updated parameters come back the other way, between nodes, then inside,
// at the beginning of the next step. Experts' go over the EDP group at once, as if it were a node.
// A slice [begin, end) of such an operation is of every shard: elements begin to end of each. What
// a collective takes is packed as [place in the node][node][end - begin], in a region of its own
// for every slice, so that slices may be under way at once.
//
// Sums are made in the order in which the all-reduce of replicated gradients makes them: equal
// bits.
class ShardedUpdate {
 public:
  ShardedUpdate(const Topology& topology, const Layout& layout, RankId rank, Groups& groups,
                Parameters& parameters, Memory& memory);

  // One task of kGradReduceScatter, kGradNodeReduceScatter, kParamNodeAllGather, kParamAllGather,
  // kExpertGradReduceScatter or kExpertParamAllGather. *size: bytes that this rank sends.
  absl::Status Run(const Op& op, const PlanTask& task, double* size);

 private:
  // A bucket with its packed halves: of the node's members, and of the nodes.
  struct Shared {
    Bucket* bucket = nullptr;
    UpdateShard shard;
    Communicator* inside = nullptr;  // the holders on this node, of experts all; null when alone
    int32_t local = 1, nodes = 1;    // holders on a node, nodes
    Buffer by_local, by_node;        // [local][nodes][...], [nodes][...]
    std::vector<int64_t> local_rows, node_rows;
  };
  Shared& Of(const Op& op);
  // All shards of a bucket, an element a row: gradients, or weights as products read them.
  static TensorView Gradients(const Shared& s);
  static TensorView Weights(const Shared& s);
  // A slice in one of the shards, and where it is in a packed half.
  static TensorView Slice(const Shared& s, const TensorView& all, int32_t shard,
                          const PlanTask& task);
  static TensorView Packed(const Buffer& buffer, DType dtype, int32_t shards, const PlanTask& task);
  static int32_t ShardOf(const Shared& s, int32_t place, int32_t node) {
    return node * s.local + place;
  }

  absl::Status ReduceInside(Shared& s, const PlanTask& task, double* size);
  absl::Status ReduceBetween(Shared& s, const PlanTask& task, double* size);
  absl::Status GatherBetween(Shared& s, const PlanTask& task, double* size);
  absl::Status GatherInside(Shared& s, const PlanTask& task, double* size);

  Memory& memory_;
  Communicator* const inter_;
  const int32_t node_;                           // of this rank
  std::vector<Shared> dense_, heads_, experts_;  // by layer; dense_'s last: the outer bucket
};

}  // namespace weft
