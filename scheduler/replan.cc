#include "scheduler/replan.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/units.h"
#include "scheduler/simulate.h"

namespace weft {
namespace {

bool SameTasks(const Plan& a, const Plan& b) {
  const auto same = [](const PlanTask& x, const PlanTask& y) {
    return x.op == y.op && x.chunk == y.chunk && x.num_chunks == y.num_chunks &&
           x.begin == y.begin && x.end == y.end;
  };
  return a.streams == b.streams &&
         std::equal(a.tasks.begin(), a.tasks.end(), b.tasks.begin(), b.tasks.end(), same);
}

}  // namespace

ReplanDecision Decide(const StepGraph& graph, const CostModel& costs, const Plan& current,
                      const Plan& candidate, const ReplanTerms& terms) {
  ReplanDecision decision;
  decision.current_seconds = Simulate(graph, current, costs).seconds;
  decision.candidate_seconds = Simulate(graph, candidate, costs).seconds;
  decision.required_gain = terms.hysteresis * terms.spread_seconds + terms.switch_seconds;
  if (SameTasks(current, candidate)) {
    decision.reason = "the current plan is still the best known";
    return decision;
  }
  const double gain = decision.current_seconds - decision.candidate_seconds;
  decision.replace = gain > decision.required_gain;
  decision.reason = absl::StrCat(
      gain < 0 ? "loses " : "gains ", FormatSeconds(std::abs(gain)), " a step, ",
      decision.replace ? "more" : "not more", " than the ", FormatSeconds(decision.required_gain),
      absl::StrFormat(" required (%.1f x spread %s + switch %s)", terms.hysteresis,
                      FormatSeconds(terms.spread_seconds), FormatSeconds(terms.switch_seconds)));
  return decision;
}

}  // namespace weft
