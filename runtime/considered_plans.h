#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "runtime/plan_memory.h"
#include "runtime/plan_search.h"

namespace weft {

// The choice of a plan in one table: what the newest search compared, what it predicted, and what
// was measured of it.
struct ConsideredPlan {
  std::string experts;           // where they work
  std::string all_to_all;        // the algorithms of its layers, each once
  std::vector<int32_t> degrees;  // of its pipelines, each once, ascending
  std::string policy;  // that made the plan: another than the job's where that ruled it out
  double predicted_seconds = 0;                 // PlanCandidate::seconds
  std::optional<double> predicted_p90_seconds;  // PlanCandidate::p90_seconds
  std::optional<PlanMemory::Entry> measured;    // nothing: it has not run
  bool runs = false;                            // now
};

// A row per candidate, and one for the plan that runs where no candidate has its tasks: it is older
// than the search, or won a trial against them: it is predicted then. `load` is the bucket of the
// last step.
std::vector<ConsideredPlan> ConsideredPlansOf(
    const PlanSearch& search, const Plan& running,
    const std::function<StepPrediction()>& predict_running, const PlanMemory& memory, int32_t load);

// For people; empty without rows.
std::string ToTable(const std::vector<ConsideredPlan>& rows);

}  // namespace weft
