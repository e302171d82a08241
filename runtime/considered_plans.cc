#include "runtime/considered_plans.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/units.h"
#include "scheduler/replan.h"

namespace weft {
namespace {

std::string AllToAllsOf(const Plan& plan) {
  std::vector<std::string> names;
  for (const AllToAllChoice& choice : plan.all_to_alls) {
    std::string name(Name(choice.algorithm));
    if (std::find(names.begin(), names.end(), name) == names.end())
      names.push_back(std::move(name));
  }
  return names.empty() ? "direct" : absl::StrJoin(names, ", ");
}

std::vector<int32_t> DegreesOf(const Plan& plan) {
  std::vector<int32_t> degrees;
  for (const DegreeChoice& choice : plan.degrees) degrees.push_back(choice.degree);
  std::sort(degrees.begin(), degrees.end());
  degrees.erase(std::unique(degrees.begin(), degrees.end()), degrees.end());
  return degrees;
}

}  // namespace

std::vector<ConsideredPlan> ConsideredPlansOf(
    const PlanSearch& search, const Plan& running,
    const std::function<StepPrediction()>& predict_running, const PlanMemory& memory,
    int32_t load) {
  std::vector<ConsideredPlan> rows;
  bool runs = false;
  const auto add = [&](const std::string& experts, const Plan& plan,
                       const StepPrediction& predicted) {
    ConsideredPlan& row = rows.emplace_back();
    row.experts = experts;
    row.all_to_all = AllToAllsOf(plan);
    row.degrees = DegreesOf(plan);
    row.policy = plan.policy;
    row.predicted_seconds = predicted.seconds;
    row.predicted_p90_seconds = predicted.p90_seconds;
    row.measured = memory.Find(plan, load);
    row.runs = SameTasks(plan, running);
    runs = runs || row.runs;
  };
  for (const PlanCandidate& candidate : search.candidates)
    add(candidate.experts, candidate.plan, {candidate.seconds, candidate.p90_seconds});
  if (!runs && !rows.empty())
    add(absl::StrCat("as in plan ", running.epoch), running, predict_running());
  return rows;
}

std::string ToTable(const std::vector<ConsideredPlan>& rows) {
  if (rows.empty()) return "";
  std::string table =
      "plans that the newest search compared (*: runs)\n"
      "    experts                        all-to-all    degrees     planned by     predicted    "
      "p90          "
      "measured               busiest rank\n";
  for (const ConsideredPlan& row : rows) {
    std::string p90, measured = "not run", load;
    if (row.predicted_p90_seconds.has_value()) p90 = FormatSeconds(*row.predicted_p90_seconds);
    if (row.measured.has_value()) {
      const PlanMemory::Entry& entry = *row.measured;
      measured = absl::StrFormat("%s, %d steps", FormatSeconds(entry.seconds), entry.steps);
      load = absl::StrFormat("%.3f to %.3f", PlanMemory::BeginOf(entry.bucket),
                             PlanMemory::BeginOf(entry.bucket + 1));
    }
    std::string line =
        absl::StrFormat("  %s %-30s %-13s %-11s %-14s %-12s %-12s %-22s %s", row.runs ? "*" : " ",
                        row.experts, row.all_to_all, absl::StrJoin(row.degrees, ", "), row.policy,
                        FormatSeconds(row.predicted_seconds), p90, measured, load);
    line.erase(line.find_last_not_of(' ') + 1);
    absl::StrAppend(&table, line, "\n");
  }
  return table;
}

}  // namespace weft
