#include "scheduler/draft_simulator.h"

#include "scheduler/issue_order.h"

namespace weft {

SimulatedDraft DraftSimulator::Simulate(const PlanDraft& draft) {
  const IssuedTasks& issued = issuer_.Issue(draft, Gradients::kIncluded);
  return {SecondsOf(draft, issued), issued.order.schedule.size()};
}

}  // namespace weft
