#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <functional>

#include "scheduler/issue_order.h"
#include "scheduler/optimal_order.h"
#include "scheduler/passes/passes.h"
#include "scheduler/planner.h"
#include "tests/scheduler/plan_checks.h"
#include "tests/scheduler/step_graph_builder.h"

// Regret: the distance of the chosen plan from the best of an exhaustive search, on cases small
// enough to search.

namespace weft {
namespace {

using Slices = std::vector<std::vector<DraftSlice>>;

// Every gradient in two parts, the first one `share` of it.
Slices InTwo(const StepModel& model, double share) {
  Slices slices;
  for (const GradientChain& chain : model.chains()) {
    const int64_t cut = static_cast<int64_t>(share * static_cast<double>(chain.elements));
    slices.push_back({DraftSlice{0, cut, OpId{}}, DraftSlice{cut, chain.elements, OpId{}}});
  }
  return slices;
}

Slices SlicesOf(const StepModel& model, const Plan& plan) {
  Slices slices;
  for (const GradientChain& chain : model.chains()) {
    slices.emplace_back();
    for (const auto& [begin, end] : SlicesOf(plan, chain.ops.front())) {
      slices.back().push_back(DraftSlice{begin, end, OpId{}});
    }
  }
  return slices;
}

// Calls `visit` with every choice of degrees, and of blocks cut or not.
void ForEachChoice(const StepModel& model, PlanDraft& draft, size_t slot,
                   const std::function<void()>& visit) {
  if (slot == draft.slots.size()) return visit();
  for (const int32_t degree : model.degrees()) {
    for (const bool cut : {false, true}) {
      if (cut &&
          (!model.slots()[slot].has_block || degree > model.graph().sequences || degree == 1)) {
        continue;
      }
      draft.slots[slot].degree = degree;
      draft.slots[slot].cut_block = cut;
      ForEachChoice(model, draft, slot + 1, visit);
    }
  }
}

// The best order of the best choice of all. Slices: whole, in two, and as the plan has them.
double Exhaustive(const StepModel& model, const Plan& plan) {
  PlanDraft draft = MakeDraft(model);
  draft.service = Service::kGradientsYield;  // all that tasks need, and nothing about their order
  const std::vector<Slices> slicings = {SlicesOf(model, plan), draft.slices, InTwo(model, 0.5),
                                        InTwo(model, 0.25), InTwo(model, 0.75)};
  double best = plan.predicted_seconds;
  OptimalOrder optimal;
  for (const Slices& slices : slicings) {
    draft.slices = slices;
    ForEachChoice(model, draft, 0,
                  [&] { best = optimal.Seconds(MakeIssueOrder(model, draft).schedule, best); });
  }
  return best;
}

struct Regret {
  int instances = 0;
  int above_one_percent = 0;
  double sum = 0;
  double worst = 0;

  double mean() const { return sum / instances; }
};

// Of the plans for random models of so many layers.
Regret RegretOf(int instances, int32_t layers, const std::vector<int32_t>& degrees,
                bool cut_blocks) {
  const CounterRng random(1, "planner_search");
  const auto costs = BalancedCosts();
  Regret regret;
  for (int i = 0; i < instances; ++i) {
    TestModel test = RandomBlockModel(random, 50 * static_cast<uint64_t>(i));
    test.layers = layers;
    test.moe_every = 1;
    test.micro_batches = 1;
    test.cut_blocks = cut_blocks;
    const StepGraph graph = BuildTestGraph(test);
    PlanRequest request = RequestFor(graph, *costs);
    request.degrees = degrees;
    const Plan plan = MustPlan(request);
    const auto model = StepModel::Make(graph, *costs, degrees);
    EXPECT_TRUE(model.ok()) << model.status();
    const double here = plan.predicted_seconds / Exhaustive(**model, plan) - 1;
    EXPECT_GE(here, 0) << i;
    ++regret.instances;
    regret.above_one_percent += here > 0.01;
    regret.sum += here;
    regret.worst = std::max(regret.worst, here);
  }
  std::printf("regret, %d layers%s: mean %.3f%%, worst %.2f%%, above 1%%: %d of %d\n", layers,
              cut_blocks ? " whose blocks can be cut" : "", 100 * regret.mean(), 100 * regret.worst,
              regret.above_one_percent, instances);
  return regret;
}

TEST(PlannerSearchTest, RegretOfOneLayer) {
  const Regret regret = RegretOf(60, 1, {1, 2, 3, 4, 6, 8}, false);
  EXPECT_LT(regret.mean(), 0.001);
  EXPECT_LT(regret.worst, 0.01);
}

TEST(PlannerSearchTest, RegretOfTwoLayers) {
  const Regret regret = RegretOf(60, 2, {1, 2, 4}, false);
  EXPECT_LT(regret.mean(), 0.001);
  EXPECT_LT(regret.worst, 0.01);
}

TEST(PlannerSearchTest, RegretOfFourLayers) {
  const Regret regret = RegretOf(24, 4, {1, 2}, false);
  EXPECT_LT(regret.mean(), 0.001);
  EXPECT_LT(regret.worst, 0.01);
}

// Twice as many tasks, and hardly one that everything waits for.
TEST(PlannerSearchTest, RegretOfBlocksThatCanBeCut) {
  const Regret regret = RegretOf(60, 1, {1, 2, 4}, true);
  EXPECT_LT(regret.mean(), 0.001);
  EXPECT_LT(regret.worst, 0.01);
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
    DraftSimulator simulator(**model);
    for (const int32_t degree : request.degrees) {
      PlanDraft draft = MakeDraft(**model);
      for (SlotDraft& slot : draft.slots) slot.degree = degree;
      EXPECT_LE(plan->predicted_seconds, ChooseSlices(simulator, draft) * (1 + 1e-9))
          << "instance " << i << ", degree " << degree;
    }
  }
}

}  // namespace
}  // namespace weft
