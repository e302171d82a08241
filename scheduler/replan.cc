#include "scheduler/replan.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/units.h"

namespace weft {
namespace {

// Of plans that follow the load the named placements are what was expected, not what will be done.
bool SamePlacements(const Placements& a, const Placements& b) {
  if (a.follow_load.has_value() || b.follow_load.has_value())
    return a.follow_load == b.follow_load && a.homes == b.homes;
  return a == b;
}

double KnownLoss(const Plan& candidate, const std::vector<RefusedPlan>& refused) {
  double loss = 0;
  for (const RefusedPlan& one : refused) {
    if (SameTasks(*one.plan, candidate)) loss = std::max(loss, one.loss_seconds);
  }
  return loss;
}

}  // namespace

bool SameTasks(const Plan& a, const Plan& b) {
  const auto same = [](const PlanTask& x, const PlanTask& y) {
    return x.op == y.op && x.chunk == y.chunk && x.num_chunks == y.num_chunks &&
           x.begin == y.begin && x.end == y.end;
  };
  return a.streams == b.streams && a.sm_limit == b.sm_limit &&
         SamePlacements(a.placements, b.placements) &&
         std::equal(a.tasks.begin(), a.tasks.end(), b.tasks.begin(), b.tasks.end(), same);
}

ReplanDecision Decide(const PredictedPlan& current, const PredictedPlan& candidate,
                      const ReplanTerms& terms) {
  const double loss = KnownLoss(candidate.plan, terms.refused);
  ReplanDecision decision;
  decision.current_seconds = current.seconds;
  decision.candidate_seconds = candidate.seconds;
  const double model_seconds = terms.model_error * decision.current_seconds;
  decision.required_gain = terms.hysteresis * std::hypot(terms.spread_seconds, model_seconds) +
                           terms.switch_seconds + loss;
  if (SameTasks(current.plan, candidate.plan)) {
    decision.reason = "the current plan is still the best known";
    return decision;
  }
  decision.replace = decision.gain() > decision.required_gain;
  decision.reason = absl::StrCat(
      decision.gain() < 0 ? "loses " : "gains ", FormatSeconds(std::abs(decision.gain())),
      " a step, ", decision.replace ? "more" : "not more", " than the ",
      FormatSeconds(decision.required_gain),
      absl::StrFormat(" required (%.1f x spread %s and model error %s together, + switch %s",
                      terms.hysteresis, FormatSeconds(terms.spread_seconds),
                      FormatSeconds(model_seconds), FormatSeconds(terms.switch_seconds)),
      loss > 0 ? absl::StrCat(" + ", FormatSeconds(loss), " that it was measured to lose") : "",
      ")");
  return decision;
}

}  // namespace weft
