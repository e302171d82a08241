// Which plans a trial tries.

#include <gtest/gtest.h>

#include <algorithm>

#include "models/build_step_graph.h"
#include "runtime/replanner.h"
#include "scheduler/policies.h"
#include "tests/scheduler/step_graph_builder.h"

namespace weft {
namespace {

class RivalsTest : public testing::Test {
 protected:
  std::vector<Plan> Rivals(const std::string& policy, size_t most = 4) {
    Replanner replanner(graph_, TuningOptions{}, calibration_, std::nullopt);
    auto rivals = replanner.Rivals(policy, 5, most);
    EXPECT_TRUE(rivals.ok()) << rivals.status();
    return rivals.ok() ? std::move(rivals->plans) : std::vector<Plan>();
  }

  const std::shared_ptr<const StepGraph> graph_ =
      std::make_shared<const StepGraph>(BuildTestGraph(TestModel{}));
  ProfileTable calibration_;
};

TEST_F(RivalsTest, AreDifferentAndPredictedToBeAboutAsFast) {
  const std::vector<Plan> rivals = Rivals("weft", 9);
  ASSERT_GE(rivals.size(), 2u);
  EXPECT_EQ(rivals[0].policy, "weft");
  for (size_t i = 0; i < rivals.size(); ++i) {
    EXPECT_EQ(rivals[i].epoch, 5 + static_cast<int64_t>(i));
    EXPECT_TRUE(ValidatePlan(*graph_, rivals[i]).ok()) << ValidatePlan(*graph_, rivals[i]);
    EXPECT_LE(rivals[i].predicted_seconds, 1.1 * rivals[0].predicted_seconds);
    for (size_t j = 0; j < i; ++j) EXPECT_FALSE(SameTasks(rivals[i], rivals[j])) << i << ", " << j;
  }
  EXPECT_LE(Rivals("weft", 2).size(), 2u);
}

TEST_F(RivalsTest, OnlyWeftHasAny) {
  for (const std::string& policy : PolicyNames()) {
    if (policy == "weft") continue;
    EXPECT_EQ(Rivals(policy).size(), 1u) << policy;
  }
}

// Where streams are said to be in each other's way, the plan of a world where they are not is tried
// as well.
TEST_F(RivalsTest, OneOverlapsMoreThanTheModelDares) {
  for (auto& row : calibration_.contention.stretch) row = {2, 2, 2};
  for (size_t s = 0; s < kNumStreams; ++s) calibration_.contention.stretch[s][s] = 0;
  const std::vector<Plan> rivals = Rivals("weft");
  calibration_.contention = {};
  const std::vector<Plan> undisturbed = Rivals("weft");
  ASSERT_GE(rivals.size(), 2u);
  EXPECT_FALSE(SameTasks(rivals[0], undisturbed[0]));
  EXPECT_TRUE(SameTasks(rivals[1], undisturbed[0]));
}

// Small experts of many rows, where gathering shards is worth as much as gathering rows; and large
// experts of few rows, where it is not.
TEST(RivalKindsTest, TheBestOfEveryKindIsTriedWhereItIsAboutAsFast) {
  for (const bool small : {true, false}) {
    StepShape shape;
    shape.model.num_layers = 2;
    shape.model.hidden_size = 64;
    shape.model.ffn_hidden_size = small ? 16 : 4096;
    shape.model.moe.num_experts = 8;
    shape.topology = {4, 4};
    shape.layout = {1, 1, 4};
    shape.batch = {small ? 16 : 1, small ? 64 : 4, 1, small ? 64 : 4};
    const auto graph = std::make_shared<const StepGraph>(BuildStepGraph(
        shape.model, shape.topology, shape.layout, shape.batch, StepKind::kTraining));
    TuningOptions options;
    options.allow_reassociation = true;
    const Replanner replanner(graph, options, ProfileTable{}, shape);
    const auto contest = replanner.Rivals("weft", 0, 4);
    ASSERT_TRUE(contest.ok()) << contest.status();
    const auto tried = [&](bool gathered) {
      return std::any_of(contest->plans.begin(), contest->plans.end(), [&](const Plan& plan) {
        return plan.policy == "weft" && plan.placements.empty() != gathered;
      });
    };
    EXPECT_TRUE(tried(false));
    EXPECT_EQ(tried(true), small);
    for (const Plan& plan : contest->plans)
      EXPECT_LE(plan.predicted_seconds, 1.1 * contest->plans[0].predicted_seconds);
    if (small) {
      EXPECT_FALSE(SameTasks(contest->plans[0], contest->plans[1]));
      EXPECT_EQ(contest->plans[1].policy, "weft") << "kinds come before other policies";
    }
  }
}

}  // namespace
}  // namespace weft
