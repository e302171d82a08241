#pragma once

#include "graph/contention.h"
#include "graph/cost_key.h"

namespace weft {

struct CostEstimate {
  double seconds = 0;
  double spread = 0;      // typical relative error of the estimate, 0.1 = 10%
  bool measured = false;  // false: a guess from first principles
};

// Seconds for one task of `size` under `key` while nothing else runs (units of size:
// graph/cost_key.h). Total: never fails, never negative, non-decreasing in size.
class CostModel {
 public:
  virtual ~CostModel() = default;
  virtual CostEstimate Estimate(const CostKey& key, double size) const = 0;

  // What running beside another stream adds to it.
  virtual Contention contention() const { return {}; }
};

// What a plan reckons with. A collective that carries nothing takes no time: where all shards of an
// expert are gathered, rows are not (graph/plan.h).
inline double SecondsOf(const CostModel& costs, const CostKey& key, double size) {
  return key.group != GroupKind::kNone && size <= 0 ? 0 : costs.Estimate(key, size).seconds;
}

}  // namespace weft
