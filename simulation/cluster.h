#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "graph/topology.h"
#include "scheduler/analytic_cost_model.h"
#include "scheduler/cost_model.h"
#include "simulation/slowdowns.h"

// A cluster in words: how many nodes and ranks, how fast its links and its arithmetic are, and what
// was measured of its collectives.

namespace weft {

// seconds = alpha + beta * n.
struct Line {
  double alpha = 0;
  double beta = 0;
};

// A collective as it was measured on `group_size` ranks: n are the elements (fp32) of the buffer
// that all ranks' parts make up (all-to-all, all-reduce: of a rank's own buffer). Other group sizes
// scale the bytes by (N - 1) / N.
struct MeasuredCollective {
  Line per_element;
  int32_t group_size = 1;
};

struct Cluster {
  std::string name;
  Topology topology;
  MachineSpeeds speeds;                          // links and arithmetic where nothing was measured
  std::optional<Line> matmul;                    // n: multiply-accumulates of one product
  std::optional<MeasuredCollective> all_to_all;  // between nodes
  std::optional<MeasuredCollective> all_gather;  // inside a node
  std::optional<MeasuredCollective> reduce_scatter;  // inside a node
  std::optional<MeasuredCollective> all_reduce;      // between nodes
  std::vector<Straggler> stragglers;                 // the cost model leaves them out
};

// kInvalidArgument, in one sentence, for sizes or speeds that are not positive, and for stragglers
// that ValidateStraggler refuses.
absl::Status ValidateCluster(const Cluster& cluster);

// How many products an operation starts: each pays the matmul's alpha.
struct ProductCounts {
  int32_t expert = 2;           // two projections; 3: SwiGLU
  int32_t expert_backward = 4;  // dX and dW; 2: dX alone
  int32_t expert_wgrad = 2;
  int32_t attention = 6;  // four projections, scores, values
  int32_t attention_backward = 12;
  int32_t attention_wgrad = 4;
};

// What operations cost on the cluster. A measured collective answers for its kind and link,
// anything else comes from the stated speeds.
class ClusterCostModel final : public CostModel {
 public:
  // REQUIRES: ValidateCluster(cluster).
  ClusterCostModel(const Cluster& cluster, const ProductCounts& products);

  CostEstimate Estimate(const CostKey& key, double size) const override;

 private:
  const MeasuredCollective* Measured(const CostKey& key) const;
  double CollectiveSeconds(const CostKey& key, const MeasuredCollective& measured,
                           double size) const;

  Cluster cluster_;
  ProductCounts products_;
  AnalyticCostModel otherwise_;
};

}  // namespace weft
