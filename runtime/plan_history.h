#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "graph/plan.h"
#include "scheduler/replan.h"

namespace weft {

// What one change of plan was worth. Seconds per step.
struct PlanSwitch {
  int64_t epoch = 0;          // of the plan that was switched to
  double predicted_gain = 0;  // by the cost model, both plans under the same costs
  double before_seconds = 0;  // median measured step of the plan before
  double after_seconds = 0;   // and of this one
  double noise_seconds = 0;   // the standard error of their difference
  bool undone = false;        // it lost more than noise explains

  double gain() const { return before_seconds - after_seconds; }
};

// The measured worth of the plans of a run. Life of a switch: the cost model predicts a gain,
// Begin; the steps under the new plan are recorded; once there are enough of them Judge compares
// them with those of the plan before and says, once, whether the switch stays. A plan that lost is
// refused from then on, and every judged switch says how far the model's predicted gains are off.
// Knows no clock: it is fed with step times.
class PlanHistory {
 public:
  // `plan` runs from the next recorded step on. predicted_gain: what the cost model promised over
  // the plan that ran before, seconds per step; nothing when it promised nothing (the first plan, a
  // return to an earlier one), and then the switch is not judged.
  void Begin(std::shared_ptr<const Plan> plan, std::optional<double> predicted_gain);

  // A step under the plan that runs. The first after Begin warms up and does not count; the newest
  // 64 are kept.
  void Record(double step_seconds);

  // Whether enough steps are recorded to compare the plan that runs with another one.
  bool settled() const;
  // The standard error of the running plan's median step; 0 before the first recorded step.
  double spread_seconds() const;

  // Judges the switch to the plan that runs; nothing when there is none to judge or it was judged
  // before. It is undone when the medians say that it lost more than three standard errors of
  // their difference and `switch_seconds`, what going back costs per step. REQUIRES: settled().
  std::optional<PlanSwitch> Judge(double switch_seconds);
  // The plan that ran before; null under the first.
  const std::shared_ptr<const Plan>& previous() const { return before_.plan; }

  // How far a predicted gain is off, as a fraction of the step: the median over the judged switches
  // of |measured gain - predicted gain| / measured step, beside one error of 2% that every run
  // starts with.
  double model_error() const;
  const std::vector<RefusedPlan>& refused() const { return refused_; }
  const std::vector<PlanSwitch>& switches() const { return switches_; }  // that were judged

 private:
  struct Measured {
    std::shared_ptr<const Plan> plan;
    bool warm = false;
    std::deque<double> seconds;
  };
  static bool Enough(const Measured& measured);

  Measured before_, running_;
  std::optional<double> predicted_gain_;  // of the switch to be judged
  std::vector<RefusedPlan> refused_;
  std::vector<PlanSwitch> switches_;
};

}  // namespace weft
