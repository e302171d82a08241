#include "scheduler/analytic_cost_model.h"

#include <algorithm>

#include "base/all_reduce.h"
#include "base/check.h"

namespace weft {
namespace {

constexpr double kGuessSpread = 0.5;

enum class Regressor : uint8_t { kBytes, kFlops, kElements };

Regressor RegressorOf(OpKind kind) {
  switch (kind) {
    case OpKind::kAttention:
    case OpKind::kDenseFfn:
    case OpKind::kExpert:
    case OpKind::kExpertWgrad:
    case OpKind::kSharedExpert:
    case OpKind::kSharedExpertWgrad:
    case OpKind::kAttentionWgrad:
    case OpKind::kHead:
      return Regressor::kFlops;
    case OpKind::kEmbedding:
    case OpKind::kRouter:
    case OpKind::kUnpermute:
    case OpKind::kGradNorm:
    case OpKind::kOptimizer:
      return Regressor::kElements;
    default:
      return Regressor::kBytes;
  }
}

// `size` counts two steps whatever the all-reduce does (models/op_sizes.h); one step sends
// group_size / 2 times as much. Never less than the largest all-reduce of one step, which a slow
// link without latency could make the longer one: costs do not decrease.
double AllReduceSeconds(const LinkSpeed& link, int32_t group_size, double size) {
  const double one_step = size * group_size / 2;
  if (one_step < kOneStepAllReduceBytes + 1) return link.latency + one_step / link.bandwidth;
  return std::max(link.latency + kOneStepAllReduceBytes / link.bandwidth,
                  2 * link.latency + size / link.bandwidth);
}

}  // namespace

AnalyticCostModel::AnalyticCostModel(const MachineSpeeds& speeds) : speeds_(speeds) {
  WEFT_CHECK(speeds.flops > 0 && speeds.elements > 0 && speeds.launch >= 0, "speeds are positive");
  for (const LinkSpeed& link : {speeds.local, speeds.intra, speeds.inter}) {
    WEFT_CHECK(link.bandwidth > 0 && link.latency >= 0, "links have a bandwidth");
  }
}

CostEstimate AnalyticCostModel::Estimate(const CostKey& key, double size) const {
  const CostKey shared = CalibrationKey(key);
  const LinkSpeed& link = shared.link == LinkClass::kInterNode   ? speeds_.inter
                          : shared.link == LinkClass::kIntraNode ? speeds_.intra
                                                                 : speeds_.local;
  const bool collective = shared.group != GroupKind::kNone;
  double rate = link.bandwidth;
  if (RegressorOf(shared.kind) == Regressor::kFlops) rate = speeds_.flops;
  if (RegressorOf(shared.kind) == Regressor::kElements) rate = speeds_.elements;
  CostEstimate estimate;
  estimate.seconds = speeds_.launch;
  if (shared.kind == OpKind::kGradAllReduce) {
    estimate.seconds += AllReduceSeconds(link, shared.group_size, std::max(size, 0.0));
  } else {
    estimate.seconds += (collective ? link.latency : 0) + std::max(size, 0.0) / rate;
  }
  estimate.spread = kGuessSpread;
  return estimate;
}

}  // namespace weft
