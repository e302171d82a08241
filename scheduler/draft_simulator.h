#pragma once

#include <cstdint>

#include "scheduler/issuer.h"
#include "scheduler/plan_draft.h"
#include "scheduler/step_model.h"

// What a search asks thousands of times: how long would the step take with these decisions.

namespace weft {

struct SimulatedDraft {
  double seconds = 0;  // of the step
  int32_t tasks = 0;   // that it has
};

class DraftSimulator {
 public:
  // REQUIRES: the model outlives it.
  explicit DraftSimulator(const StepModel& model) : model_(model), issuer_(model) {}

  const StepModel& model() const { return model_; }

  // The simulated seconds of the step.
  double Seconds(const PlanDraft& draft) { return Simulate(draft).seconds; }
  SimulatedDraft Simulate(const PlanDraft& draft);
  // The same if the step is Faster than `best`; else some seconds that are not, of a bound that
  // takes less to find.
  SimulatedDraft SimulateIfFaster(const PlanDraft& draft, double best);
  double SecondsIfFaster(const PlanDraft& draft, double best) {
    return SimulateIfFaster(draft, best).seconds;
  }

  // The tasks of a draft as issued, before its service has its say. Valid until the next call.
  const Schedule& Issued(const PlanDraft& draft) {
    return issuer_.Issue(draft, Gradients::kIncluded).order.schedule;
  }

 private:
  const StepModel& model_;
  Issuer issuer_;
};

}  // namespace weft
