#include "scheduler/planner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "tests/scheduler/plan_checks.h"
#include "tests/scheduler/step_graph_builder.h"

namespace weft {
namespace {

TEST(PlannerTest, SequentialRunsOneTaskAtATimeWithGradientsAtTheEnd) {
  const StepGraph graph = BuildTestGraph(TestModel{});
  const auto costs = BalancedCosts();
  PlanRequest request = RequestFor(graph, *costs);
  request.policy = "sequential";
  const Plan plan = MustPlan(request);
  double sum = 0;
  bool gradients = false;
  for (const PlanTask& task : plan.tasks) {
    const Op& op = graph.op(task.op);
    EXPECT_EQ(task.num_chunks, 1);
    sum += costs->Estimate(op.key, op.size).seconds;
    gradients |= op.cut == Cut::kSlices;
    const bool behind = op.cut == Cut::kSlices || op.key.kind == OpKind::kGradNorm ||
                        op.key.kind == OpKind::kOptimizer;
    EXPECT_EQ(gradients, behind) << TaskName(graph, task);
  }
  EXPECT_EQ(plan.streams, 1);
  EXPECT_NEAR(plan.predicted_seconds, sum, 1e-12);
}

TEST(PlannerTest, SameInputsSamePlanBytes) {
  const CounterRng random(2, "planner");
  for (int i = 0; i < 10; ++i) {
    std::set<std::string> texts;
    for (int round = 0; round < 3; ++round) {
      const std::vector<std::unique_ptr<char[]>> noise(static_cast<size_t>(round));
      const StepGraph graph =
          BuildTestGraph(RandomBlockModel(random, 100 * static_cast<uint64_t>(i)));
      const auto costs = BalancedCosts();
      PlanRequest request = RequestFor(graph, *costs);
      if (round == 1) request.degrees = {8, 6, 4, 3, 2, 1, 1, 2};  // a set, whatever its order
      texts.insert(PlanToJson(graph, MustPlan(request)));
    }
    EXPECT_EQ(texts.size(), 1u) << i;
  }
}

TEST(PlannerTest, PlansReadBackFromTheirFile) {
  const StepGraph graph = BuildTestGraph(TestModel{});
  const auto costs = BalancedCosts();
  const Plan plan = MustPlan(RequestFor(graph, *costs));
  const absl::StatusOr<Plan> read = PlanFromJson(graph, PlanToJson(graph, plan));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, plan);
}

// Each pass may only make the step faster, whichever others are left out.
TEST(PlannerTest, EveryPassCanBeLeftOutAndNoneLoses) {
  std::vector<std::string> names;
  const auto passes = MakePasses("weft");
  ASSERT_TRUE(passes.ok()) << passes.status();
  for (const auto& pass : *passes) names.emplace_back(pass->name());
  constexpr int kSets = 10;
  const CounterRng random(3, "planner");
  const auto costs = BalancedCosts();
  for (int i = 0; i < 10; ++i) {
    const StepGraph graph =
        BuildTestGraph(RandomBlockModel(random, 100 * static_cast<uint64_t>(i)));
    PlanRequest request = RequestFor(graph, *costs);
    request.search_tasks = 20'000;
    for (int round = 0; round < kSets; ++round) {
      const uint64_t set = random.Bits(5'000 + static_cast<uint64_t>(kSets * i + round)) %
                           (uint64_t{1} << names.size());
      std::vector<std::string> disabled;
      for (size_t k = 0; k < names.size(); ++k) {
        if ((set >> k & 1) == 0) disabled.push_back(names[k]);
      }
      const Plan plan = MustPlan(request, disabled);
      CheckPlan(graph, *costs, plan);
      if (HasFatalFailure()) FAIL() << "instance " << i << ", passes " << set;
      if (set == 0) continue;
      // Without its last pass.
      std::vector<std::string> without = disabled;
      for (size_t k = names.size(); k-- > 0;) {
        if ((set >> k & 1) == 0) continue;
        without.push_back(names[k]);
        break;
      }
      EXPECT_LE(plan.predicted_seconds, MustPlan(request, without).predicted_seconds * (1 + 1e-9))
          << "instance " << i << ", passes " << set;
    }
  }
}

// What the request leaves out is not done, and does not come back with the best of the others.
TEST(PlannerTest, ARequestNamesThePassesThatAreLeftOut) {
  const StepGraph graph = BuildTestGraph(TestModel{});
  const auto costs = BalancedCosts();
  PlanRequest request = RequestFor(graph, *costs);
  const Plan with = MustPlan(request);
  const auto cuts = [](const Plan& plan) {
    return std::any_of(plan.degrees.begin(), plan.degrees.end(),
                       [](const DegreeChoice& choice) { return choice.degree > 1; });
  };
  EXPECT_TRUE(cuts(with));
  request.without_passes = {"choose_degrees", "serve_by_priority", "refine",
                            "improve_small",  "partition_rest",    "pipeline_blocks"};
  const absl::StatusOr<Plan> without = MakePlan(request);
  ASSERT_TRUE(without.ok()) << without.status();
  EXPECT_FALSE(cuts(*without));
  EXPECT_GT(without->predicted_seconds, with.predicted_seconds);
  request.without_passes = {"guess"};
  EXPECT_NE(MakePlan(request).status().message().find("pass 'guess' is not known"),
            absl::string_view::npos);
}

// Passes that decide many things at once leave alone what has a pass of its own that is left out.
TEST(PlannerTest, ADecisionIsLeftOutWhoeverTakesIt) {
  TestModel model;
  model.cut_blocks = true;
  model.sequences = 4;
  model.layers = 3;
  model.attention_flops = 8e8;
  model.gradient_elements = 3'000'000;  // of which a part fits beside attention
  const StepGraph graph = BuildTestGraph(model);
  const auto costs = BalancedCosts();
  PlanRequest request = RequestFor(graph, *costs);
  const auto pieces = [&](const Plan& plan, Cut cut) {
    std::map<OpId, int32_t> tasks;
    int32_t most = 0;
    for (const PlanTask& task : plan.tasks) {
      if (graph.op(task.op).cut == cut) most = std::max(most, ++tasks[task.op]);
    }
    return most;
  };
  const Plan all = MustPlan(request);
  EXPECT_GT(pieces(all, Cut::kEither), 1);
  request.without_passes = {"pipeline_blocks"};
  const absl::StatusOr<Plan> whole_blocks = MakePlan(request);
  ASSERT_TRUE(whole_blocks.ok()) << whole_blocks.status();
  EXPECT_EQ(pieces(*whole_blocks, Cut::kEither), 1);
  EXPECT_GT(whole_blocks->predicted_seconds, all.predicted_seconds);
  // Whole gradients but for what fills windows.
  request.without_passes = {"chunk_gradients", "slice_gradients", "partition_rest"};
  const absl::StatusOr<Plan> whole_gradients = MakePlan(request);
  ASSERT_TRUE(whole_gradients.ok()) << whole_gradients.status();
  EXPECT_EQ(pieces(*whole_gradients, Cut::kSlices), 1);
  request.without_passes = {"slice_gradients", "partition_rest"};
  EXPECT_GT(pieces(*MakePlan(request), Cut::kSlices), 1);
}

TEST(PlannerTest, GradientsFillTheWindowsOfLaterLayers) {
  TestModel model;
  model.layers = 4;
  const StepGraph graph = BuildTestGraph(model);
  const auto costs = BalancedCosts();
  const PlanRequest request = RequestFor(graph, *costs);
  const std::vector<std::string> others = {"refine", "improve_small", "serve_by_priority",
                                           "best_of_policies"};
  std::vector<std::string> none = others;
  none.insert(none.end(), {"slice_gradients", "partition_rest"});
  const Plan with = MustPlan(request, others);
  const Plan without = MustPlan(request, none);
  EXPECT_LT(with.predicted_seconds, without.predicted_seconds);
  // Some slice is reduced between the last dispatch and the first combine of a later backward
  // layer.
  bool in_window = false;
  OpKind previous = OpKind::kGradNorm;
  for (const PlanTask& task : with.tasks) {
    const Op& op = graph.op(task.op);
    if (op.stream != StreamKind::kInter) continue;
    in_window |= previous == OpKind::kDispatch && op.cut == Cut::kSlices;
    previous = op.key.kind;
  }
  EXPECT_TRUE(in_window);
}

TEST(PlannerTest, DelayedWeightGradientsFillTheWaitForTheNextDispatch) {
  TestModel model;
  model.layers = 3;
  model.esp = 1;
  model.expert_flops = 1.5e9;  // dW outlasts the wait for the combine
  model.gradient_elements = 10000;
  const StepGraph graph = BuildTestGraph(model);
  const auto costs = BalancedCosts();
  const Plan with = MustPlan(RequestFor(graph, *costs));
  const Plan without = MustPlan(RequestFor(graph, *costs), {"delay_wgrad", "serve_by_priority",
                                                            "best_of_policies", "improve_small"});
  EXPECT_LT(with.predicted_seconds, without.predicted_seconds);
}

TEST(PlannerTest, DenseModelsAndSingleRanksNeedNothingSpecial) {
  const auto costs = BalancedCosts();
  TestModel dense;
  dense.moe_every = 100;
  TestModel alone;
  alone.nodes = alone.ranks_per_node = alone.esp = 1;
  for (const TestModel& model : {dense, alone}) {
    const StepGraph graph = BuildTestGraph(model);
    CheckPlan(graph, *costs, MustPlan(RequestFor(graph, *costs)));
  }
  const StepGraph empty;
  CheckPlan(empty, *costs, MustPlan(RequestFor(empty, *costs)));
}

TEST(PlannerTest, BadRequestsAreOneClearSentence) {
  const StepGraph graph = BuildTestGraph(TestModel{});
  const auto costs = BalancedCosts();
  const auto says = [](const absl::Status& status, std::string_view text) {
    return status.code() == absl::StatusCode::kInvalidArgument &&
           std::string(status.message()).find(text) != std::string::npos;
  };
  PlanRequest request = RequestFor(graph, *costs);
  request.policy = "fastest";
  EXPECT_TRUE(says(MakePlan(request).status(), "use sequential, tutel, tutel_improved"));
  request = RequestFor(graph, *costs);
  for (const std::vector<int32_t>& degrees :
       {std::vector<int32_t>{}, std::vector<int32_t>{0, 1}, std::vector<int32_t>{1, 1025}}) {
    request.degrees = degrees;
    EXPECT_TRUE(says(MakePlan(request).status(), "from 1 to 1024"));
  }
  request = RequestFor(graph, *costs);
  request.graph = nullptr;
  EXPECT_TRUE(says(MakePlan(request).status(), "needs a step graph"));
  StepGraph broken = graph;
  broken.ops[3].size = -1;
  EXPECT_TRUE(says(MakePlan(RequestFor(broken, *costs)).status(), "size"));
  EXPECT_TRUE(says(MakePasses("weft", {"guess"}).status(), "chunk_gradients, delay_wgrad"));
}

}  // namespace
}  // namespace weft
