#include "scheduler/issue_order.h"

#include <optional>
#include <utility>
#include <vector>

#include "scheduler/priority_order.h"

namespace weft {
namespace {

bool ServedInGaps(Service service) {
  return service == Service::kCriticalGaps || service == Service::kChainGaps;
}

bool ServedByPriority(Service service) {
  return service == Service::kCriticalPath || service == Service::kGradientsYield;
}

bool ServedByRule(const PlanDraft& draft) {
  return draft.service == Service::kInOrder && draft.rule != IntraRule::kIssueOrder &&
         draft.streams == kNumStreams;
}

// By task; the smallest is served first.
std::vector<double> Urgency(Service service, const IssuedTasks& issued) {
  std::vector<double> urgency;
  if (service == Service::kGradientsYield) {
    const size_t tasks = issued.intra.size();
    urgency.reserve(tasks);
    for (size_t i = 0; i < tasks; ++i)
      urgency.push_back(static_cast<double>(i + (issued.intra[i].gradient ? tasks : 0)));
    return urgency;
  }
  const Schedule& schedule = issued.order.schedule;
  urgency =
      service == Service::kChainGaps ? SecondsToTheEnd(schedule) : ServedSecondsToTheEnd(schedule);
  for (double& seconds : urgency) seconds = -seconds;
  return urgency;
}

// Nothing: as issued.
std::optional<std::vector<int32_t>> ServiceOrder(const PlanDraft& draft,
                                                 const IssuedTasks& issued) {
  const Schedule& schedule = issued.order.schedule;
  if (ServedInGaps(draft.service)) return OrderInGaps(schedule, Urgency(draft.service, issued));
  if (ServedByPriority(draft.service))
    return OrderByPriority(schedule, Urgency(draft.service, issued));
  if (ServedByRule(draft)) return OrderByReadiness(schedule, issued.intra, draft.rule);
  if (draft.service == Service::kGiven && !draft.order.empty()) return draft.order;
  return std::nullopt;
}

IssueOrder Reordered(const IssueOrder& issued, const std::vector<int32_t>& order) {
  IssueOrder result;
  result.schedule = Reordered(issued.schedule, order);
  result.tasks.reserve(order.size());
  result.group.reserve(order.size());
  for (const int32_t task : order) {
    result.tasks.push_back(issued.tasks[static_cast<size_t>(task)]);
    result.group.push_back(issued.group[static_cast<size_t>(task)]);
  }
  return result;
}

}  // namespace

IssueOrder MakeIssueOrder(const StepModel& model, const PlanDraft& draft, Gradients gradients) {
  Issuer issuer(model);
  const IssuedTasks& issued = issuer.Issue(draft, gradients);
  const std::optional<std::vector<int32_t>> order = ServiceOrder(draft, issued);
  return order.has_value() ? Reordered(issued.order, *order) : issuer.Take().order;
}

double SecondsOf(const PlanDraft& draft, const IssuedTasks& issued) {
  const Schedule& schedule = issued.order.schedule;
  if (schedule.contention().none()) {
    if (ServedInGaps(draft.service)) return SecondsInGaps(schedule, Urgency(draft.service, issued));
    if (ServedByPriority(draft.service))
      return SecondsByPriority(schedule, Urgency(draft.service, issued));
    if (ServedByRule(draft)) return SecondsByReadiness(schedule, issued.intra, draft.rule);
  }
  std::vector<double> begin;
  std::vector<double> end;
  const std::optional<std::vector<int32_t>> order = ServiceOrder(draft, issued);
  if (order.has_value()) return RunSchedule(Reordered(schedule, *order), begin, end);
  return RunSchedule(schedule, begin, end);
}

}  // namespace weft
