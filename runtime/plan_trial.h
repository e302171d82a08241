#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "graph/plan.h"
#include "runtime/comparison.h"

namespace weft {

// Plans that the cost model finds about equally fast take turns in real training steps, and the one
// that was measured fastest stays. All of them compute the same, so no step is wasted. In each
// round every plan runs a block of three steps, of which the first warms up; each round begins with
// another plan. Knows no clock: it is fed with step times.
class PlanTrial {
 public:
  // plans[0] is the favourite. REQUIRES: at least one plan and one round.
  PlanTrial(std::vector<std::shared_ptr<const Plan>> plans, int32_t rounds);

  // How many steps a trial takes.
  static int64_t StepsOf(size_t plans, int32_t rounds);

  bool over() const { return step_ == StepsOf(plans_.size(), rounds_); }
  // What the next step runs under. REQUIRES: !over().
  const std::shared_ptr<const Plan>& plan() const { return plans_[Turn()]; }
  // How long that step took.
  void Record(double seconds);

  const std::vector<std::shared_ptr<const Plan>>& plans() const { return plans_; }
  // Median of a plan's measured steps.
  double SecondsOf(size_t plan) const;
  // The plan with the least median; the favourite, unless that is faster by more than the standard
  // error of their difference. REQUIRES: over().
  size_t Winner() const;

 private:
  size_t Turn() const;  // whose block it is

  std::vector<std::shared_ptr<const Plan>> plans_;
  int32_t rounds_;
  int64_t step_ = 0;
  std::vector<std::vector<double>> seconds_;  // by plan
};

}  // namespace weft
