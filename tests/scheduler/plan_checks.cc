#include "tests/scheduler/plan_checks.h"

#include <gtest/gtest.h>

#include <map>

#include "scheduler/simulate.h"

namespace weft {

Plan MustPlan(const PlanRequest& request, const std::vector<std::string>& disabled) {
  const absl::StatusOr<PlanPasses> passes = MakePasses(request.policy, disabled);
  EXPECT_TRUE(passes.ok()) << passes.status();
  const absl::StatusOr<Plan> plan = MakePlan(request, *passes);
  EXPECT_TRUE(plan.ok()) << plan.status();
  return *plan;
}

std::set<std::pair<int64_t, int64_t>> SlicesOf(const Plan& plan, OpId op) {
  std::set<std::pair<int64_t, int64_t>> slices;
  for (const PlanTask& task : plan.tasks) {
    if (task.op == op) slices.emplace(task.begin, task.end);
  }
  return slices;
}

void CheckPlan(const StepGraph& graph, const CostModel& costs, const Plan& plan) {
  ASSERT_TRUE(ValidatePlan(graph, plan).ok()) << ValidatePlan(graph, plan);
  // The planner's own simulation is the one everybody else runs.
  const SimulatedStep step = Simulate(graph, plan, costs);
  ASSERT_NEAR(step.seconds, plan.predicted_seconds, 1e-9 * step.seconds);
  for (size_t i = 0; i < plan.tasks.size(); ++i) {
    ASSERT_NEAR(step.begin[i], plan.tasks[i].predicted_begin, 1e-9 * step.seconds);
    ASSERT_NEAR(step.length[i], plan.tasks[i].predicted_seconds, 1e-9 * step.seconds);
  }
  // The operations that reduce one gradient share their slices.
  for (const Op& op : graph.ops) {
    if (op.cut != Cut::kSlices) continue;
    for (const OpId need : op.needs) {
      if (graph.op(need).cut != Cut::kSlices) continue;
      ASSERT_EQ(SlicesOf(plan, op.id), SlicesOf(plan, need)) << OpName(graph, op.id);
    }
  }
  // Chunks of an operation run in order; so do the micro-batches of a layer's dW, which adds up in
  // that order.
  std::map<int32_t, int32_t> next_chunk;
  std::map<int32_t, int32_t> next_micro_batch;
  for (const PlanTask& task : plan.tasks) {
    const Op& op = graph.op(task.op);
    if (op.cut == Cut::kSlices) continue;
    ASSERT_EQ(task.chunk, next_chunk[task.op.value]++) << TaskName(graph, task);
    if (op.key.kind != OpKind::kExpertWgrad || task.chunk > 0) continue;
    ASSERT_EQ(op.micro_batch, next_micro_batch[op.layer]++);
  }
}

}  // namespace weft
