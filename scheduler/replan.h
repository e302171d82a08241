#pragma once

#include <string>

#include "graph/plan.h"
#include "scheduler/cost_model.h"

namespace weft {

struct ReplanDecision {
  bool replace = false;
  double current_seconds = 0;  // of the current plan under the new costs
  double candidate_seconds = 0;
  double required_gain = 0;  // what the gain must exceed, seconds per step
  std::string reason;        // one sentence
};

// What a change must be worth.
struct ReplanTerms {
  double hysteresis = 2;      // times the spread
  double spread_seconds = 0;  // how much the measured step time varies by itself
  double switch_seconds =
      0;  // what installing a plan costs, spread over the steps it is expected to serve
};

// Whether to replace `current` by `candidate`: both are simulated under the same, newest costs, and
// the gain per step must exceed hysteresis * spread + switch cost. Never for a plan that issues the
// same tasks. Pure. REQUIRES: both plans are valid for the graph.
ReplanDecision Decide(const StepGraph& graph, const CostModel& costs, const Plan& current,
                      const Plan& candidate, const ReplanTerms& terms);

}  // namespace weft
