#include "scheduler/simulate.h"

#include <cmath>

#include "scheduler/schedule.h"

namespace weft {

SimulatedStep Simulate(const StepGraph& graph, const Plan& plan, const CostModel& costs) {
  const std::vector<std::vector<int32_t>> needs = TaskNeeds(graph, plan);
  SimulatedStep step;
  Schedule schedule;
  for (size_t i = 0; i < plan.tasks.size(); ++i) {
    const PlanTask& task = plan.tasks[i];
    const Op& op = graph.op(task.op);
    step.length.push_back(costs.Estimate(op.key, TaskSize(graph, task)).seconds);
    schedule.Add(StreamUnder(plan.streams, op.stream), step.length.back());
    for (const int32_t need : needs[i]) schedule.Need(need);
  }
  step.seconds = RunSchedule(schedule, step.begin);
  return step;
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
    span.size = TaskSize(graph, plan.tasks[i]);
    trace.push_back(span);
  }
  return trace;
}

}  // namespace weft
