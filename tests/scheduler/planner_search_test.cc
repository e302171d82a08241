#include <gtest/gtest.h>

#include <algorithm>

#include "scheduler/passes/passes.h"
#include "scheduler/planner.h"
#include "tests/scheduler/step_graph_builder.h"

// Regret: the distance of the chosen plan from the best of an exhaustive search, on cases small
// enough to search.

namespace weft {
namespace {

// The best over all degrees of all slots, each with its best slices and service order.
double Exhaustive(const StepModel& model) {
  PlanDraft draft = MakeDraft(model);
  draft.order_open = true;
  double best = SecondsOf(model, draft);
  const std::vector<int32_t>& degrees = model.degrees();
  size_t combinations = 1;
  for (size_t i = 0; i < 2 * draft.slots.size(); ++i) {
    combinations *= i % 2 == 0 ? degrees.size() : 2;
  }
  for (size_t code = 0; code < combinations; ++code) {
    PlanDraft candidate = draft;
    size_t rest = code;
    for (SlotDraft& slot : candidate.slots) {
      slot.degree = degrees[rest % degrees.size()];
      rest /= degrees.size();
      slot.ready_first = rest % 2 == 1;
      rest /= 2;
    }
    for (const bool delay : {false, true}) {
      for (SlotDraft& slot : candidate.slots) slot.delay_wgrad = delay;
      PlanDraft sliced = candidate;
      best = std::min(best, ChooseSlices(model, sliced));
    }
  }
  return best;
}

TEST(PlannerSearchTest, RegretAgainstExhaustiveSearchIsSmall) {
  const CounterRng random(1, "planner_search");
  const auto costs = BalancedCosts();
  double worst = 0;
  double sum = 0;
  constexpr int kInstances = 12;
  for (int i = 0; i < kInstances; ++i) {
    TestModel test = RandomModel(random, 50 * static_cast<uint64_t>(i));
    test.layers = i % 3 == 0 ? 2 : 1;
    test.moe_every = 1;
    test.micro_batches = 1;
    const StepGraph graph = BuildTestGraph(test);
    PlanRequest request = RequestFor(graph, *costs);
    request.degrees =
        test.layers == 1 ? std::vector<int32_t>{1, 2, 3, 4, 6, 8} : std::vector<int32_t>{1, 2, 4};
    const auto model = StepModel::Make(graph, *costs, request.degrees);
    ASSERT_TRUE(model.ok()) << model.status();
    const absl::StatusOr<Plan> plan = MakePlan(request);
    ASSERT_TRUE(plan.ok()) << plan.status();
    const double regret = plan->predicted_seconds / Exhaustive(**model) - 1;
    worst = std::max(worst, regret);
    sum += std::max(regret, 0.0);
  }
  RecordProperty("worst_regret_percent", std::to_string(100 * worst));
  RecordProperty("mean_regret_percent", std::to_string(100 * sum / kInstances));
  EXPECT_LT(worst, 0.03);
  EXPECT_LT(sum / kInstances, 0.005);
}

// Larger models cannot be searched exhaustively; the search must still beat any one degree for all
// layers.
TEST(PlannerSearchTest, BeatsEveryUniformDegree) {
  const CounterRng random(2, "planner_search");
  const auto costs = BalancedCosts();
  for (int i = 0; i < 10; ++i) {
    TestModel test = RandomModel(random, 50 * static_cast<uint64_t>(i));
    test.layers = 6;
    const StepGraph graph = BuildTestGraph(test);
    const PlanRequest request = RequestFor(graph, *costs);
    const absl::StatusOr<Plan> plan = MakePlan(request);
    ASSERT_TRUE(plan.ok()) << plan.status();
    const auto model = StepModel::Make(graph, *costs, request.degrees);
    ASSERT_TRUE(model.ok());
    for (const int32_t degree : request.degrees) {
      PlanDraft draft = MakeDraft(**model);
      for (SlotDraft& slot : draft.slots) slot.degree = degree;
      EXPECT_LE(plan->predicted_seconds, ChooseSlices(**model, draft) * (1 + 1e-9))
          << "instance " << i << ", degree " << degree;
    }
  }
}

}  // namespace
}  // namespace weft
