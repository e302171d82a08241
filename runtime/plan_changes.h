#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "graph/plan.h"
#include "runtime/background_planner.h"
#include "runtime/considered_plans.h"
#include "runtime/options.h"
#include "runtime/plan_history.h"
#include "runtime/plan_memory.h"
#include "runtime/plan_search.h"
#include "runtime/replanner.h"

namespace weft {

// When rank 0 changes the plan: predicted by the cost model, confirmed by measurement, remembered
// by load. At a look, the last change is judged by its steps, and undone when it lost; else a plan
// that was measured faster under the present load comes back; else a planning begins beside the
// steps, and the boundary after its end says whether its plan is proposed. One question at a time:
// no look while a planning or a proposal is under way or the plan that runs has too few steps. Who
// proposes and installs is the trainer.
class PlanChanges {
 public:
  // `replanner` outlives this.
  PlanChanges(const TuningOptions& options, Replanner& replanner);

  // `plan` was installed, which took `install_seconds`, and runs from the next step on.
  void Installed(std::shared_ptr<const Plan> plan, double install_seconds);
  // `plan` takes its turn in a trial from the next step on: it is remembered, not judged.
  void Tried(std::shared_ptr<const Plan> plan);
  // What the newest search compared, where it was not begun here.
  void Consider(PlanSearch search) { search_ = std::move(search); }
  // How long a training step took under it, and how full the busiest rank has been lately
  // (ExpertLoads::Fullness).
  void Measured(double step_seconds, double fullness);

  struct Proposal {
    Plan plan;
    std::string reason;
  };
  struct News {
    std::optional<Proposal> proposal;         // to be offered to all ranks
    std::optional<double> predicted_seconds;  // of the plan that runs, under newer costs
    std::optional<PlanSwitch> judged;         // the last change
  };
  // Between two steps; never waits for a planning. REQUIRES: Installed was called.
  absl::StatusOr<News> BetweenSteps(bool look);

  // The plan that was installed last. REQUIRES: Installed was called.
  const Plan& running() const { return *running_; }

  // Blocks until no planning is under way, at most as long as one takes.
  void Wait() const { planner_.Wait(); }

  const std::vector<PlanSwitch>& switches() const { return history_.switches(); }
  std::vector<PlanMemory::Entry> remembered() const { return memory_.Entries(); }
  // What the newest search compared, as of now. REQUIRES: Installed was called.
  std::vector<ConsideredPlan> considered() const;

 private:
  // Made, but not yet installed.
  struct Proposed {
    int64_t epoch = 0;
    std::optional<double> predicted_gain;
  };

  double SwitchCost() const;  // seconds per step
  Proposal Propose(Plan plan, std::optional<double> predicted_gain, std::string reason);
  Proposal GoBack(const PlanSwitch& judged);
  Proposal BringBack(const PlanMemory::Recalled& recalled);
  void BeginPlanning();

  const TuningOptions options_;
  Replanner& replanner_;
  PlanHistory history_;
  PlanMemory memory_;
  PlanSearch search_;  // the newest
  bool trial_ = false;
  int32_t load_ = 0;  // bucket of the last step
  std::shared_ptr<const Plan> running_;
  double install_seconds_ = 0;
  std::optional<Proposed> proposed_;
  BackgroundPlanner planner_;
};

}  // namespace weft
