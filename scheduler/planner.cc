#include "scheduler/planner.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "scheduler/issue_order.h"

namespace weft {
namespace {

constexpr int32_t kMaxDegree = 1024;

absl::StatusOr<std::vector<int32_t>> CandidateDegrees(const PlanRequest& request) {
  std::vector<int32_t> degrees = request.degrees;
  std::sort(degrees.begin(), degrees.end());
  degrees.erase(std::unique(degrees.begin(), degrees.end()), degrees.end());
  if (degrees.empty() || degrees.front() < 1 || degrees.back() > kMaxDegree) {
    return absl::InvalidArgumentError(
        absl::StrCat("candidate degrees must be a list of whole numbers from 1 to ", kMaxDegree,
                     ", but are [", absl::StrJoin(request.degrees, ", "), "]"));
  }
  return degrees;
}

Plan PlanOf(const PlanRequest& request, const StepModel& model, const PlanDraft& draft) {
  Plan plan;
  plan.epoch = request.epoch;
  plan.graph_fingerprint = FingerprintOf(model.graph());
  plan.policy = request.policy;
  plan.streams = draft.streams;
  for (size_t i = 0; i < model.slots().size(); ++i) {
    const DegreeSlot& slot = model.slots()[i];
    plan.degrees.push_back(DegreeChoice{slot.layer, slot.direction, draft.slots[i].degree});
  }
  for (const int32_t layer : model.choosers())
    plan.all_to_alls.push_back({layer, draft.all_to_alls[static_cast<size_t>(layer)]});
  plan.placements = request.placements;
  plan.numerics = NumericsOf(plan.placements);
  IssueOrder order = MakeIssueOrder(model, draft);
  std::vector<double> begin;
  std::vector<double> end;
  plan.predicted_seconds = RunSchedule(order.schedule, begin, end);
  for (size_t i = 0; i < order.tasks.size(); ++i) {
    order.tasks[i].predicted_begin = begin[i];
    order.tasks[i].predicted_seconds = end[i] - begin[i];
  }
  // By expected start: every stream keeps its order, needs stay first, and a host that launches in
  // this order never holds back a task that could run.
  std::stable_sort(
      order.tasks.begin(), order.tasks.end(),
      [](const PlanTask& a, const PlanTask& b) { return a.predicted_begin < b.predicted_begin; });
  plan.tasks = std::move(order.tasks);
  return plan;
}

}  // namespace

absl::StatusOr<Plan> MakePlan(const PlanRequest& request, const PlanPasses& passes) {
  if (request.graph == nullptr || request.costs == nullptr) {
    return absl::InvalidArgumentError("a plan needs a step graph and a cost model");
  }
  WEFT_RETURN_IF_ERROR(CheckPolicy(request.policy));
  WEFT_ASSIGN_OR_RETURN(const std::vector<int32_t> degrees, CandidateDegrees(request));
  WEFT_ASSIGN_OR_RETURN(
      const std::unique_ptr<const StepModel> model,
      StepModel::Make(*request.graph, *request.costs, degrees, request.placements));
  PlanDraft draft = StartOf(request.policy, *model);
  DraftSimulator simulator(*model);
  for (const auto& pass : passes) pass->Run(request, simulator, draft);
  Plan plan = PlanOf(request, *model, draft);
  const absl::Status status = ValidatePlan(*request.graph, plan);
  if (!status.ok()) return absl::InternalError(status.message());
  return plan;
}

absl::StatusOr<Plan> MakePlan(const PlanRequest& request) {
  WEFT_ASSIGN_OR_RETURN(const PlanPasses passes,
                        MakePasses(request.policy, request.without_passes));
  return MakePlan(request, passes);
}

}  // namespace weft
