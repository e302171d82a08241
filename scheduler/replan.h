#pragma once

#include <memory>
#include <string>
#include <vector>

#include "graph/plan.h"

namespace weft {

struct ReplanDecision {
  bool replace = false;
  double current_seconds = 0;  // predicted
  double candidate_seconds = 0;
  double required_gain = 0;  // what the gain must exceed, seconds per step
  std::string reason;        // one sentence

  double gain() const { return current_seconds - candidate_seconds; }
};

// A plan that was measured to be slower than the one before it.
struct RefusedPlan {
  std::shared_ptr<const Plan> plan;
  double loss_seconds = 0;  // per step
};

// What a change must be worth.
struct ReplanTerms {
  double hysteresis = 2;      // times the error of the gain, of measurement and model together
  double spread_seconds = 0;  // how much the measured step time varies by itself
  double switch_seconds =
      0;  // what installing a plan costs, spread over the steps it is expected to serve
  double model_error = 0;  // of a predicted difference between two plans, as a fraction of the step
  std::vector<RefusedPlan> refused = {};  // each to be proposed again only for its loss on top
};

// Whether both plans issue the same tasks in the same order on the same streams and
// multiprocessors, with the experts living at the same homes, and working in the same places or
// following the load on the same terms.
bool SameTasks(const Plan& a, const Plan& b);

// Whether to replace `current` by `candidate`: the predicted gain per step must exceed `hysteresis`
// times its error, and the costs:
//   hysteresis * sqrt(spread^2 + (model_error * current)^2) + switch cost + known loss.
// Measurement and model err independently, so the squares add. The known loss is that of a refused
// plan with the candidate's tasks. Never for a plan that issues the same tasks. Pure. REQUIRES:
// both were simulated under the same costs and loads.
struct PredictedPlan {
  const Plan& plan;
  double seconds = 0;
};
ReplanDecision Decide(const PredictedPlan& current, const PredictedPlan& candidate,
                      const ReplanTerms& terms);

}  // namespace weft
