#include "scheduler/draft_simulator.h"

#include "scheduler/issue_order.h"
#include "scheduler/lower_bound.h"

namespace weft {

SimulatedDraft DraftSimulator::Simulate(const PlanDraft& draft) {
  const IssuedTasks& issued = issuer_.Issue(draft, Gradients::kIncluded);
  return {SecondsOf(draft, issued), issued.order.schedule.size()};
}

SimulatedDraft DraftSimulator::SimulateIfFaster(const PlanDraft& draft, double best) {
  const IssuedTasks& issued = issuer_.Issue(draft, Gradients::kIncluded);
  const double bound = QuickLowerBound(issued.order.schedule);
  if (bound > best) return {bound, issued.order.schedule.size()};
  return {SecondsOf(draft, issued), issued.order.schedule.size()};
}

}  // namespace weft
