#include "scheduler/replan.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/units.h"
#include "scheduler/simulate.h"

namespace weft {
namespace {

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
  return a.streams == b.streams &&
         std::equal(a.tasks.begin(), a.tasks.end(), b.tasks.begin(), b.tasks.end(), same);
}

ReplanDecision Decide(const StepGraph& graph, const CostModel& costs, const Plan& current,
                      const Plan& candidate, const ReplanTerms& terms) {
  const double loss = KnownLoss(candidate, terms.refused);
  ReplanDecision decision;
  decision.current_seconds = Simulate(graph, current, costs).seconds;
  decision.candidate_seconds = Simulate(graph, candidate, costs).seconds;
  const double model_seconds = terms.model_error * decision.current_seconds;
  decision.required_gain = terms.hysteresis * std::hypot(terms.spread_seconds, model_seconds) +
                           terms.switch_seconds + loss;
  if (SameTasks(current, candidate)) {
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
