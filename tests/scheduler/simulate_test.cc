#include "scheduler/simulate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/random.h"
#include "scheduler/measured_cost_model.h"
#include "scheduler/planner.h"
#include "scheduler/stream_use.h"
#include "tests/scheduler/step_graph_builder.h"

namespace weft {
namespace {

// By definition: raise every start until no rule is broken. Quadratic in everything, and nothing is
// shared with the simulator but TaskNeeds.
std::vector<double> SlowStarts(const StepGraph& graph, const Plan& plan, const CostModel& costs) {
  const auto needs = TaskNeeds(graph, plan);
  const size_t n = plan.tasks.size();
  std::vector<double> seconds(n);
  for (size_t i = 0; i < n; ++i) {
    const Op& op = graph.op(plan.tasks[i].op);
    seconds[i] = costs.Estimate(op.key, TaskSize(graph, plan, plan.tasks[i])).seconds;
  }
  std::vector<double> start(n, 0);
  bool changed = true;
  while (changed) {
    changed = false;
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = 0; j < n; ++j) {
        const StreamKind a = graph.op(plan.tasks[i].op).stream;
        const StreamKind b = graph.op(plan.tasks[j].op).stream;
        const bool communication = a != StreamKind::kCompute && b != StreamKind::kCompute;
        const bool same_stream =
            a == b || plan.streams == 1 || (plan.streams == 2 && communication);
        const bool before = (j < i && same_stream) ||
                            std::count(needs[i].begin(), needs[i].end(), static_cast<int32_t>(j));
        if (!before || start[i] >= start[j] + seconds[j]) continue;
        start[i] = start[j] + seconds[j];
        changed = true;
      }
    }
  }
  return start;
}

// The same tasks in a random order that keeps needs first.
void Shuffle(const StepGraph& graph, Plan& plan, const CounterRng& random, uint64_t& draw) {
  const auto needs = TaskNeeds(graph, plan);
  std::vector<bool> issued(plan.tasks.size(), false);
  std::vector<PlanTask> order;
  while (order.size() < plan.tasks.size()) {
    const size_t i = random.Bits(draw++) % plan.tasks.size();
    const auto& of = needs[i];
    const bool free = std::all_of(of.begin(), of.end(),
                                  [&](int32_t j) { return issued[static_cast<size_t>(j)]; });
    if (issued[i] || !free) continue;
    issued[i] = true;
    order.push_back(plan.tasks[i]);
  }
  plan.tasks = order;
}

TEST(SimulateTest, EqualsTheSlowSimulatorOnRandomPlans) {
  const CounterRng random(1, "simulate");
  uint64_t draw = 0;
  for (int i = 0; i < 40; ++i) {
    TestModel model = RandomModel(random, 1000 + 20 * static_cast<uint64_t>(i));
    model.layers = std::min(model.layers, 2);
    model.micro_batches = 1;
    const StepGraph graph = BuildTestGraph(model);
    const auto costs = BalancedCosts();
    PlanRequest request = RequestFor(graph, *costs);
    request.degrees = {1, 2, 3};
    absl::StatusOr<Plan> plan = MakePlan(request);
    ASSERT_TRUE(plan.ok()) << plan.status();
    Shuffle(graph, *plan, random, draw);
    plan->streams = 1 + i % 3;
    ASSERT_TRUE(ValidatePlan(graph, *plan).ok()) << ValidatePlan(graph, *plan);
    const std::vector<double> slow = SlowStarts(graph, *plan, *costs);
    const SimulatedStep step = Simulate(graph, *plan, *costs);
    double makespan = 0;
    for (size_t t = 0; t < slow.size(); ++t) {
      ASSERT_NEAR(step.begin[t], slow[t], 1e-12) << TaskName(graph, plan->tasks[t]);
      makespan = std::max(makespan, slow[t] + step.length[t]);
    }
    ASSERT_NEAR(step.seconds, makespan, 1e-12);
  }
}

TEST(SimulateTest, ContentionIsInPlansAndInTheirSimulationAlike) {
  const StepGraph graph = BuildTestGraph(TestModel{});
  const auto alone = BalancedCosts();
  ProfileTable table;
  table.contention.stretch = {{{0, 0.1, 0.4}, {0.2, 0, 0.1}, {0.3, 0, 0}}};
  const MeasuredCostModel beside(table, alone);
  for (const char* policy : {"sequential", "tutel", "fsmoe", "weft"}) {
    PlanRequest request = RequestFor(graph, beside);
    request.policy = policy;
    const absl::StatusOr<Plan> plan = MakePlan(request);
    ASSERT_TRUE(plan.ok()) << plan.status();
    const SimulatedStep step = Simulate(graph, *plan, beside);
    const SimulatedStep easy = Simulate(graph, *plan, *alone);
    EXPECT_NEAR(step.seconds, plan->predicted_seconds, 1e-12) << policy;
    if (plan->streams == 1) {
      EXPECT_NEAR(step.seconds, easy.seconds, 1e-12) << "nothing overlaps";
    } else {
      EXPECT_GT(step.seconds, easy.seconds) << policy;
    }
    EXPECT_GE(step.seconds, LowerBoundOf(graph, *plan, beside));
    for (size_t t = 0; t < plan->tasks.size(); ++t) {
      ASSERT_NEAR(step.begin[t], plan->tasks[t].predicted_begin, 1e-12) << policy;
      ASSERT_NEAR(step.length[t], plan->tasks[t].predicted_seconds, 1e-12) << policy;
    }
  }
}

TEST(SimulateTest, TraceHasTheShapeOfAMeasuredStep) {
  const StepGraph graph = BuildTestGraph(TestModel{});
  const auto costs = BalancedCosts();
  const absl::StatusOr<Plan> plan = MakePlan(RequestFor(graph, *costs));
  ASSERT_TRUE(plan.ok());
  const SimulatedStep step = Simulate(graph, *plan, *costs);
  const Trace trace = TraceOf(graph, *plan, step);
  ASSERT_EQ(trace.size(), plan->tasks.size());
  int64_t end = 0;
  for (size_t i = 0; i < trace.size(); ++i) {
    EXPECT_EQ(trace[i].task, static_cast<int32_t>(i));
    EXPECT_NEAR(static_cast<double>(trace[i].begin_nanos), step.begin[i] * 1e9, 1);
    EXPECT_DOUBLE_EQ(trace[i].size, TaskSize(graph, *plan, plan->tasks[i]));
    end = std::max(end, trace[i].end_nanos);
  }
  EXPECT_NEAR(static_cast<double>(end), step.seconds * 1e9, 1);
}

TEST(OverlapTest, ExposedIsCommunicationWithIdleCompute) {
  StepGraph graph;
  graph.ops.resize(3);
  for (int32_t i = 0; i < 3; ++i) graph.ops[static_cast<size_t>(i)].id = OpId{i};
  graph.ops[1].stream = StreamKind::kIntra;
  graph.ops[2].stream = StreamKind::kInter;
  Plan plan;
  for (int32_t i = 0; i < 3; ++i) plan.tasks.push_back(PlanTask{OpId{i}, 0, 1, 0, 0, 0, 0});
  const auto span = [](int32_t task, double begin, double end) {
    return Span{0, 0, 0, task, std::llround(begin * 1e9), std::llround(end * 1e9), 0};
  };
  // compute 0-4, intra 3-6, inter 5-8, nothing 8-9, compute 9-10
  const StreamUse overlap =
      StreamUseOf(graph, plan, {span(0, 0, 4), span(1, 3, 6), span(2, 5, 8), span(0, 9, 10)});
  EXPECT_DOUBLE_EQ(overlap.makespan, 10);
  EXPECT_DOUBLE_EQ(overlap.busy[0], 5);
  EXPECT_DOUBLE_EQ(overlap.busy[1], 3);
  EXPECT_DOUBLE_EQ(overlap.busy[2], 3);
  EXPECT_DOUBLE_EQ(overlap.communication, 5);
  EXPECT_DOUBLE_EQ(overlap.exposed, 4);
  EXPECT_DOUBLE_EQ(overlap.hidden(), 1);
  EXPECT_DOUBLE_EQ(overlap.idle, 1);
}

}  // namespace
}  // namespace weft
