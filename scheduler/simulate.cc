#include "scheduler/simulate.h"

#include <cmath>

#include "scheduler/lower_bound.h"
#include "scheduler/schedule.h"

namespace weft {

namespace {

Schedule ScheduleOf(const StepGraph& graph, const Plan& plan, int32_t streams,
                    const CostModel& costs) {
  const std::vector<std::vector<int32_t>> needs = TaskNeeds(graph, plan);
  Schedule schedule(costs.contention());
  for (size_t i = 0; i < plan.tasks.size(); ++i) {
    const PlanTask& task = plan.tasks[i];
    const Op& op = graph.op(task.op);
    schedule.Add(StreamUnder(streams, op.stream),
                 SecondsOf(costs, op.key, TaskSize(graph, plan, task)));
    for (const int32_t need : needs[i]) schedule.Need(need);
  }
  return schedule;
}

}  // namespace

SimulatedStep Simulate(const StepGraph& graph, const Plan& plan, const CostModel& costs) {
  const Schedule schedule = ScheduleOf(graph, plan, plan.streams, costs);
  SimulatedStep step;
  std::vector<double> end;
  step.seconds = RunSchedule(schedule, step.begin, end);
  for (size_t task = 0; task < end.size(); ++task) {
    step.length.push_back(end[task] - step.begin[task]);
  }
  return step;
}

std::array<double, kNumStreams> AloneSeconds(const StepGraph& graph, const Plan& plan,
                                             const CostModel& costs) {
  std::array<double, kNumStreams> seconds{};
  for (const PlanTask& task : plan.tasks) {
    const Op& op = graph.op(task.op);
    seconds[static_cast<size_t>(op.stream)] +=
        SecondsOf(costs, op.key, TaskSize(graph, plan, task));
  }
  return seconds;
}

double LowerBoundOf(const StepGraph& graph, const Plan& plan, const CostModel& costs) {
  return LowerBound(ScheduleOf(graph, plan, kNumStreams, costs));
}

Trace TraceOf(const StepGraph& graph, const Plan& plan, const SimulatedStep& step) {
  const auto nanos = [](double seconds) { return std::llround(seconds * 1e9); };
  Trace trace;
  for (size_t i = 0; i < plan.tasks.size(); ++i) {
    Span span;
    span.epoch = plan.epoch;
    span.task = static_cast<int32_t>(i);
    span.begin_nanos = nanos(step.begin[i]);
    span.end_nanos = nanos(step.begin[i] + step.length[i]);
    span.size = TaskSize(graph, plan, plan.tasks[i]);
    trace.push_back(span);
  }
  return trace;
}

}  // namespace weft
