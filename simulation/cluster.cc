#include "simulation/cluster.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace weft {
namespace {

constexpr double kBytesPerElement = 4;

// How many products an operation starts; 0: none, its size is not in FLOPs.
int32_t ProductsOf(const CostKey& key, const ProductCounts& products) {
  const bool backward = key.direction == Direction::kBackward;
  switch (key.kind) {
    case OpKind::kExpert:
    case OpKind::kSharedExpert:
      return backward ? products.expert_backward : products.expert;
    case OpKind::kExpertWgrad:
    case OpKind::kSharedExpertWgrad:
      return products.expert_wgrad;
    case OpKind::kAttention:
      return backward ? products.attention_backward : products.attention;
    case OpKind::kAttentionWgrad:
      return products.attention_wgrad;
    case OpKind::kRouter:
    case OpKind::kHead:
      return backward ? 2 : 1;
    default:
      return 0;
  }
}

}  // namespace

absl::Status ValidateCluster(const Cluster& cluster) {
  const auto bad = [&](absl::string_view what) {
    return absl::InvalidArgumentError(absl::StrCat("cluster '", cluster.name, "': ", what));
  };
  const Topology& topology = cluster.topology;
  if (topology.ranks_per_node < 1 || topology.world_size < 1 ||
      topology.world_size % topology.ranks_per_node != 0) {
    return bad("needs at least one node with at least one rank");
  }
  const MachineSpeeds& speeds = cluster.speeds;
  for (const LinkSpeed& link : {speeds.local, speeds.intra, speeds.inter}) {
    if (!(link.bandwidth > 0) || !(link.latency >= 0)) {
      return bad("every link needs a bandwidth greater than 0 and a latency of at least 0");
    }
  }
  if (!(speeds.flops > 0) || !(speeds.elements > 0) || !(speeds.launch >= 0)) {
    return bad("compute needs flops and elements greater than 0 and a launch of at least 0");
  }
  for (const auto* collective :
       {&cluster.all_to_all, &cluster.all_gather, &cluster.reduce_scatter, &cluster.all_reduce}) {
    if (collective->has_value() && (*collective)->group_size < 2) {
      return bad("a collective is measured on a group of at least 2 ranks");
    }
  }
  for (const Straggler& straggler : cluster.stragglers) {
    if (const absl::Status status = ValidateStraggler(straggler, topology); !status.ok()) {
      return bad(status.message());
    }
  }
  return absl::OkStatus();
}

ClusterCostModel::ClusterCostModel(const Cluster& cluster, const ProductCounts& products)
    : cluster_(cluster), products_(products), otherwise_(cluster.speeds) {
  WEFT_CHECK(ValidateCluster(cluster).ok(), "the cluster is valid");
}

const MeasuredCollective* ClusterCostModel::Measured(const CostKey& key) const {
  const CostKey shared = CalibrationKey(key);
  const auto of = [&](const std::optional<MeasuredCollective>& collective, LinkClass link) {
    return collective.has_value() && shared.link == link ? &*collective : nullptr;
  };
  switch (shared.kind) {
    case OpKind::kDispatch:
    case OpKind::kCountsAllToAll:
      return of(cluster_.all_to_all, LinkClass::kInterNode);
    case OpKind::kEspAllGather:
    case OpKind::kCountsAllGather:
      return of(cluster_.all_gather, LinkClass::kIntraNode);
    case OpKind::kEspReduceScatter:
      return of(cluster_.reduce_scatter, LinkClass::kIntraNode);
    case OpKind::kGradAllReduce:
      return of(cluster_.all_reduce, LinkClass::kInterNode);
    default:
      return nullptr;
  }
}

// Sizes are bytes that a rank sends (models/op_sizes.h): of a buffer of n elements 4 n (N - 1) / N,
// twice that for the two steps of an all-reduce. The line was measured on N0 ranks.
double ClusterCostModel::CollectiveSeconds(const CostKey& key, const MeasuredCollective& measured,
                                           double size) const {
  const double steps = CalibrationKey(key).kind == OpKind::kGradAllReduce ? 2 : 1;
  const double others = static_cast<double>(measured.group_size - 1) / measured.group_size;
  const double elements = size / (steps * kBytesPerElement * others);
  return measured.per_element.alpha + measured.per_element.beta * elements;
}

CostEstimate ClusterCostModel::Estimate(const CostKey& key, double size) const {
  CostEstimate estimate = otherwise_.Estimate(key, size);
  if (const MeasuredCollective* measured = Measured(key); measured != nullptr) {
    estimate.seconds = CollectiveSeconds(key, *measured, std::max(size, 0.0));
    estimate.measured = true;
  } else if (const int32_t products = ProductsOf(key, products_);
             products > 0 && cluster_.matmul.has_value()) {
    // Sizes of products are FLOPs, two a multiply-accumulate.
    estimate.seconds =
        products * cluster_.matmul->alpha + cluster_.matmul->beta * std::max(size, 0.0) / 2;
    estimate.measured = true;
  }
  return estimate;
}

}  // namespace weft
