#include "runtime/plan_trial.h"

#include "gtest/gtest.h"

namespace weft {
namespace {

std::vector<std::shared_ptr<const Plan>> Plans(int64_t count) {
  std::vector<std::shared_ptr<const Plan>> plans;
  for (int64_t epoch = 0; epoch < count; ++epoch) {
    auto plan = std::make_shared<Plan>();
    plan->epoch = epoch;
    plans.push_back(std::move(plan));
  }
  return plans;
}

// seconds: by epoch, with a little more and less in turn; the steps that warm up take forever.
std::vector<int64_t> RunAll(PlanTrial& trial, const std::vector<double>& seconds,
                            double noise = 0) {
  std::vector<int64_t> ran;
  for (int64_t step = 0; !trial.over(); ++step) {
    const int64_t epoch = trial.plan()->epoch;
    const bool warm = !ran.empty() && ran.back() == epoch;
    const double sign = step % 2 == 0 ? 1 : -1;
    ran.push_back(epoch);
    trial.Record(warm ? seconds[static_cast<size_t>(epoch)] + sign * noise : 1000);
  }
  return ran;
}

TEST(PlanTrialTest, EveryRoundBeginsWithAnotherPlan) {
  PlanTrial trial(Plans(3), 2);
  EXPECT_EQ(RunAll(trial, {1, 1, 1}), (std::vector<int64_t>{0, 0, 0, 1, 1, 1, 2, 2, 2,  //
                                                            1, 1, 1, 2, 2, 2, 0, 0, 0}));
  EXPECT_EQ(PlanTrial::StepsOf(3, 2), 18);
}

TEST(PlanTrialTest, TheFastestMeasuredStays) {
  PlanTrial trial(Plans(4), 3);
  RunAll(trial, {0.20, 0.21, 0.18, 0.19}, 1e-3);
  EXPECT_EQ(trial.Winner(), 2u);
  EXPECT_NEAR(trial.SecondsOf(2), 0.18, 1e-3);
}

TEST(PlanTrialTest, TheFavouriteStaysWithinNoise) {
  PlanTrial trial(Plans(2), 3);
  RunAll(trial, {0.200, 0.199}, 0.01);
  EXPECT_EQ(trial.Winner(), 0u);
}

TEST(PlanTrialTest, OnePlanWins) {
  PlanTrial trial(Plans(1), 1);
  RunAll(trial, {0.2});
  EXPECT_EQ(trial.Winner(), 0u);
}

}  // namespace
}  // namespace weft
