#include "scheduler/analytic_cost_model.h"

#include <algorithm>

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
  // An all-reduce is a reduce-scatter followed by an all-gather: two rounds.
  const int rounds = shared.kind == OpKind::kGradAllReduce ? 2 : 1;
  double rate = link.bandwidth;
  if (RegressorOf(shared.kind) == Regressor::kFlops) rate = speeds_.flops;
  if (RegressorOf(shared.kind) == Regressor::kElements) rate = speeds_.elements;
  CostEstimate estimate;
  estimate.seconds =
      speeds_.launch + (collective ? rounds * link.latency : 0) + std::max(size, 0.0) / rate;
  estimate.spread = kGuessSpread;
  return estimate;
}

}  // namespace weft
