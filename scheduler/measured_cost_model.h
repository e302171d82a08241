#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "graph/profile_table.h"
#include "graph/sustained_rates.h"
#include "scheduler/cost_model.h"

namespace weft {

// Decorates a cost model with measurements: a key that the table holds with enough samples is
// answered from its accepted line, or, where one line does not fit, from the samples made monotone
// (pool adjacent violators) and, for collectives, at rates that can be sustained (SustainRates),
// joined by straight lines; every other key is answered by the fallback.
class MeasuredCostModel final : public CostModel {
 public:
  // Under a plan's `sm_limit`: a collective that was not measured under it costs what it does
  // without. REQUIRES: fallback not null. The table is copied: later measurements make another
  // model.
  MeasuredCostModel(const ProfileTable& table, std::shared_ptr<const CostModel> fallback,
                    size_t min_samples = 2, int32_t sm_limit = 0);

  CostEstimate Estimate(const CostKey& key, double size) const override;
  // The table's, under the limit.
  Contention contention() const override { return contention_; }

 private:
  struct Curve {
    bool line = false;
    double alpha = 0;
    double beta = 0;
    double spread = 0;
    std::vector<CostPoint> points;  // sizes ascending and distinct, seconds non-decreasing
    double slope_beyond = 0;        // seconds per unit of size above the last point
  };
  static Curve MakeCurve(const CostKey& key, const CostEntry& entry);
  static double Interpolate(const Curve& curve, double size);

  std::map<CostKey, Curve> curves_;  // by key without its limit
  Contention contention_;
  std::shared_ptr<const CostModel> fallback_;
};

}  // namespace weft
