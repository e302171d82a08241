#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/dtype.h"

namespace weft {

// What a task does. The names are the ones of profile.json, plan.json, traces and metrics.
enum class OpKind : uint8_t {
  kEmbedding,          // tokens -> hidden states
  kMpAllGather,        // activations gathered over the ranks that share attention heads
  kMpReduceScatter,    // ... and their partial sums scattered again
  kAttention,          // norm, QKV, attention, projection, residual
  kDenseFfn,           // norm, FFN without experts, residual
  kRouter,             // norm, gate, order: which row goes where
  kSharedExpert,       // FFN that every token of a layer with experts visits
  kCountsAllToAll,     // int32 row counts over EP
  kCountsAllGather,    // row counts over ESP
  kCountsNodeGather,   // row counts of a node's members of EP, for all-to-alls that pass rows on
  kDispatch,           // all-to-all of token rows over EP, or a step of one
  kEspAllGather,       // rows gathered over the expert-sharding group
  kExpert,             // expert shard: products and activation
  kEspReduceScatter,   // partial sums reduced over the expert-sharding group
  kCombine,            // all-to-all back
  kExpertWeights,      // weights of experts to where they work away from home, over EP
  kExpertGradReturn,   // ... and their gradients home
  kExpertShardGather,  // weights of experts over some of the expert-sharding group
  kExpertShardReduce,  // ... and their gradients back
  kUnpermute,          // weighted sum of expert outputs per token, residual
  kHead,               // final norm, logits, loss
  kExpertWgrad,        // dW of a layer's experts
  kSharedExpertWgrad,  // ... and of its shared ones
  kAttentionWgrad,     // dW of what stands beside a layer's pipeline: attention, norms, gate
  kGradReduceScatter,  // dense gradients inside the node
  kGradAllReduce,      // ... between nodes
  kGradAllGather,      // ... inside the node
  kGradNodeReduceScatter,    // ZeRO-1: dense gradients between nodes, to who updates them
  kParamNodeAllGather,       // ... updated parameters between nodes
  kParamAllGather,           // ... inside the node
  kExpertGradAllReduce,      // expert gradients over EDP
  kExpertGradReduceScatter,  // ZeRO-1: expert gradients over EDP, to who updates them
  kExpertParamAllGather,     // ... updated parameters
  kGradNorm,                 // this rank's share of the squared gradient norm
  kStepReduction,            // loss, norm and epochs of all ranks: the last collective of a step
  kOptimizer,
};

enum class Direction : uint8_t { kNone, kForward, kBackward };
enum class StreamKind : uint8_t { kCompute, kIntra, kInter };
inline constexpr int kNumStreams = 3;

bool IsWeightGradient(OpKind kind);

// Which communicator an operation uses.
enum class GroupKind : uint8_t {
  kNone,
  kWorld,
  kIntra,
  kInter,
  kEp,
  kEsp,
  kEdp,
  kEpNode,    // the members of an EP group on one node
  kEpPeers,   // one member of an EP group from every node, those at the same place
  kEpAcross,  // the whole EP group, of which only members on different nodes exchange
  kMp,        // the ranks that share the attention heads of every layer
  kMpPeers,   // the ranks of a node that hold the same heads
};
enum class LinkClass : uint8_t { kNone, kIntraNode, kInterNode };

// What a cost is filed under. Prediction and measurement share it. The size (bytes sent by the
// busiest rank of a collective, of an all-reduce those of its two steps even where it takes one;
// FLOPs of a product, elements of anything else) is the regressor, not part of the key. Direction
// is part of the key: a backward expert is another program than a forward one.
struct CostKey {
  OpKind kind = OpKind::kEmbedding;
  Direction direction = Direction::kNone;
  GroupKind group = GroupKind::kNone;
  int32_t group_size = 1;
  LinkClass link = LinkClass::kNone;
  DType dtype = DType::kF32;
  uint64_t shape_class =
      0;  // digest of the widths that change the speed (hidden, ffn, heads); 0 for communication
  int32_t sm_limit = 0;  // of a collective: Plan::sm_limit

  friend auto operator<=>(const CostKey&, const CostKey&) = default;
};

// "expert.fwd/f32/1f2e3d4c", "dispatch.bwd/ep2/inter/f32": unique, stable, parsed back by
// ParseCostKey.
std::string ToString(const CostKey& key);
absl::StatusOr<CostKey> ParseCostKey(std::string_view text);

std::string_view Name(OpKind kind);        // "dispatch"
std::string_view Name(Direction d);        // "fwd", "bwd", "" for kNone
std::string_view Name(StreamKind stream);  // "compute", "intra", "inter"
std::string_view Name(GroupKind group);
std::string_view Name(LinkClass link);

// Communication by kind: collectives that carry the same bytes over the same group cost the same,
// so that calibrating one all-to-all serves dispatch and combine, forward and backward. Maps a key
// to the one its cost is fitted under: `dispatch` for every all-to-all and `esp_all_gather` for
// every all-gather of the group (dtype u8: bytes are bytes), `esp_reduce_scatter` and
// `grad_all_reduce` for the reductions (dtype kept: adding costs time), without direction or shape.
// Collectives of a few numbers, whose time is latency and what keeps the others from answering,
// have costs of their own: `counts_all_to_all` and `counts_all_gather`. Compute keys map to
// themselves. Idempotent.
CostKey CalibrationKey(const CostKey& key);

}  // namespace weft
