// The whole way of a plan on rank 0, with scripted step times: looked for beside the steps,
// proposed, installed, judged, kept or undone.

#include "runtime/plan_changes.h"

#include "gtest/gtest.h"
#include "tests/scheduler/step_graph_builder.h"

namespace weft {
namespace {

constexpr double kInstallSeconds = 1e-6;

class PlanChangesTest : public testing::Test {
 protected:
  PlanChangesTest() { Install(*replanner_.MakePlan("sequential", 0)); }

  void Install(const Plan& plan) {
    running_ = std::make_shared<const Plan>(plan);
    changes_.Installed(running_, kInstallSeconds);
  }

  // Steps of `seconds`, none of them a look.
  void Run(double seconds, int steps = 9, double fullness = 1) {
    for (int i = 0; i < steps; ++i) {
      changes_.Measured(seconds, fullness);
      EXPECT_FALSE(BetweenSteps(false).proposal.has_value());
    }
  }

  PlanChanges::News BetweenSteps(bool look) {
    auto news = changes_.BetweenSteps(look);
    EXPECT_TRUE(news.ok()) << news.status();
    return news.ok() ? *std::move(news) : PlanChanges::News{};
  }

  // What a look leads to, at once or when its planning has ended.
  PlanChanges::News Look() {
    PlanChanges::News news = BetweenSteps(true);
    if (news.proposal.has_value()) return news;
    changes_.Wait();
    PlanChanges::News later = BetweenSteps(false);
    later.judged = news.judged;
    return later;
  }

  const std::shared_ptr<const StepGraph> graph_ =
      std::make_shared<const StepGraph>(BuildTestGraph(TestModel{}));
  const TuningOptions options_;
  Replanner replanner_{graph_, options_, ProfileTable{}, std::nullopt};
  PlanChanges changes_{options_, replanner_};
  std::shared_ptr<const Plan> running_;
};

TEST_F(PlanChangesTest, ABetterPlanIsProposedOnceAndKeptWhenItIsFaster) {
  Run(0.2);
  const PlanChanges::News news = Look();
  ASSERT_TRUE(news.proposal.has_value());
  EXPECT_EQ(news.proposal->plan.epoch, 1);
  EXPECT_EQ(news.proposal->plan.policy, "weft");
  EXPECT_NE(news.proposal->reason.find("gains"), std::string::npos) << news.proposal->reason;
  EXPECT_DOUBLE_EQ(*news.predicted_seconds, replanner_.Predict(*running_));
  EXPECT_FALSE(Look().proposal.has_value()) << "one proposal at a time";

  const double gain = replanner_.Predict(*running_) - replanner_.Predict(news.proposal->plan);
  Install(news.proposal->plan);
  Run(0.2 - gain);
  const PlanChanges::News next = Look();
  ASSERT_TRUE(next.judged.has_value());
  EXPECT_FALSE(next.judged->undone);
  EXPECT_NEAR(next.judged->predicted_gain, gain, 1e-12);
  EXPECT_NEAR(next.judged->gain(), gain, 1e-12);
  EXPECT_FALSE(next.proposal.has_value()) << "the plan is the best known";
  EXPECT_TRUE(next.predicted_seconds.has_value()) << "it was looked for";
  EXPECT_EQ(changes_.switches().size(), 1u);
}

TEST_F(PlanChangesTest, ABadSwitchIsUndoneAndNotRepeated) {
  Run(0.2);
  const PlanChanges::News news = Look();
  ASSERT_TRUE(news.proposal.has_value());
  const Plan before = *running_;
  Install(news.proposal->plan);
  Run(0.9);  // slower by more than any prediction says it is faster

  const PlanChanges::News back = BetweenSteps(true);
  ASSERT_TRUE(back.proposal.has_value()) << "measured already: nothing is to be planned";
  EXPECT_EQ(back.proposal->plan.epoch, 2);
  EXPECT_TRUE(SameTasks(back.proposal->plan, before));
  EXPECT_EQ(back.proposal->reason.rfind("measured: plan 1 takes", 0), 0u) << back.proposal->reason;
  EXPECT_TRUE(back.judged->undone);
  EXPECT_FALSE(Look().proposal.has_value()) << "one proposal at a time";

  Install(back.proposal->plan);
  for (int look = 0; look < 3; ++look) {
    Run(0.2);
    const PlanChanges::News again = Look();
    EXPECT_FALSE(again.proposal.has_value()) << again.proposal->reason;
    EXPECT_FALSE(again.judged.has_value()) << "going back is no promise";
    EXPECT_TRUE(again.predicted_seconds.has_value()) << "it was looked for";
  }
}

TEST_F(PlanChangesTest, NoLookBeforeThePlanHasRunEnough) {
  Run(0.2, 8);  // the first does not count
  EXPECT_FALSE(Look().predicted_seconds.has_value());
  Run(0.2, 1);
  EXPECT_TRUE(Look().predicted_seconds.has_value());
}

TEST_F(PlanChangesTest, AnOutcomeIsDroppedWhenAnotherPlanWasInstalledMeanwhile) {
  Run(0.2);
  EXPECT_FALSE(BetweenSteps(true).proposal.has_value());
  changes_.Wait();
  Plan other = *replanner_.MakePlan("tutel", 1);
  Install(other);
  const PlanChanges::News news = BetweenSteps(false);
  EXPECT_FALSE(news.proposal.has_value());
  EXPECT_FALSE(news.predicted_seconds.has_value());
  // It was not ours to judge, and the next look compares with the plan that runs.
  Run(0.2);
  const PlanChanges::News next = Look();
  EXPECT_FALSE(next.judged.has_value());
  EXPECT_DOUBLE_EQ(*next.predicted_seconds, replanner_.Predict(other));
}

// The second time a load comes, the plan that was the fastest under it does not have to be found.
TEST_F(PlanChangesTest, AKnownLoadBringsItsPlanBack) {
  const Plan first = *running_;
  Run(0.2, 9, 1.0);
  Run(0.3, 9, 1.6);
  const Plan other = *replanner_.MakePlan("weft", 1);
  ASSERT_FALSE(SameTasks(first, other));
  Install(other);
  Run(0.25, 9, 1.0);  // worse than the first where the load is even, better where it is not
  Run(0.2, 9, 1.6);
  const PlanChanges::News even = Look();
  EXPECT_FALSE(even.proposal.has_value()) << "nothing known is faster under this load";

  Run(0.25, 1, 1.0);
  const PlanChanges::News back = BetweenSteps(true);
  ASSERT_TRUE(back.proposal.has_value()) << "measured already: nothing is to be planned";
  EXPECT_TRUE(SameTasks(back.proposal->plan, first));
  EXPECT_EQ(back.proposal->plan.epoch, 2);
  EXPECT_EQ(back.proposal->reason.rfind("remembered: with the busiest rank at 1.00 to 1.12", 0), 0u)
      << back.proposal->reason;

  Install(back.proposal->plan);
  Run(0.2, 9, 1.05);
  Run(0.3, 1, 1.6);
  const PlanChanges::News again = BetweenSteps(true);
  ASSERT_TRUE(again.proposal.has_value());
  EXPECT_TRUE(SameTasks(again.proposal->plan, other));
  EXPECT_EQ(again.proposal->plan.epoch, 3);
  EXPECT_EQ(changes_.remembered().size(), 4u);
}

// The costs move on while a planning is under way: it keeps those that it began with.
TEST_F(PlanChangesTest, PredictionsAndNewCostsDoNotDisturbAPlanning) {
  Run(0.2);
  const double expected = replanner_.Predict(*running_);
  EXPECT_FALSE(BetweenSteps(true).proposal.has_value());
  for (int i = 0; i < 20; ++i) {
    replanner_.Refresh();
    EXPECT_GT(replanner_.Predict(*running_), 0);
    EXPECT_GT(replanner_.BusySeconds(*running_)[0], 0);
  }
  changes_.Wait();
  EXPECT_DOUBLE_EQ(*BetweenSteps(false).predicted_seconds, expected);
}

}  // namespace
}  // namespace weft
