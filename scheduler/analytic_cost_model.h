#pragma once

#include "scheduler/cost_model.h"

namespace weft {

// What is known of a machine before anything was measured.
struct LinkSpeed {
  double latency = 0;    // seconds of one transfer, however small
  double bandwidth = 1;  // bytes per second and rank
};

struct MachineSpeeds {
  LinkSpeed local{2e-6, 8e9};     // a group of one rank: a copy
  LinkSpeed intra{5e-6, 4e9};     // inside a node
  LinkSpeed inter{50e-6, 1.2e9};  // between nodes
  double flops = 2e10;            // per second and rank, matrix products
  double elements = 1e9;          // per second and rank, everything bound by memory
  double launch = 5e-6;           // seconds any task costs, however small
};

// alpha + beta * size from stated speeds: the guess a job starts from, and what serves where no
// measurement exists.
class AnalyticCostModel final : public CostModel {
 public:
  // REQUIRES: rates > 0, latencies and launch >= 0.
  explicit AnalyticCostModel(const MachineSpeeds& speeds);

  CostEstimate Estimate(const CostKey& key, double size) const override;

 private:
  MachineSpeeds speeds_;
};

}  // namespace weft
