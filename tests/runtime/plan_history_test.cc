#include "runtime/plan_history.h"

#include "base/random.h"
#include "gtest/gtest.h"

namespace weft {
namespace {

std::shared_ptr<const Plan> PlanOf(int64_t epoch) {
  auto plan = std::make_shared<Plan>();
  plan->epoch = epoch;
  return plan;
}

// Seconds a step, by script: `base`, and noise of a twentieth of it.
class Steps {
 public:
  explicit Steps(uint64_t seed) : rng_(seed, "steps") {}

  void Run(PlanHistory& history, double base, int count = 20) {
    for (int i = 0; i < count; ++i) history.Record(base * (1 + 0.05 * rng_.Normal(next_++)));
  }

 private:
  CounterRng rng_;
  uint64_t next_ = 0;
};

TEST(PlanHistoryTest, TheFirstStepWarmsUpAndEightSettle) {
  PlanHistory history;
  history.Begin(PlanOf(0), std::nullopt);
  EXPECT_EQ(history.spread_seconds(), 0);
  history.Record(1000);
  for (int i = 0; i < 8; ++i) {
    EXPECT_FALSE(history.settled());
    history.Record(i % 2 == 0 ? 1.0 : 1.2);
  }
  EXPECT_TRUE(history.settled());
  EXPECT_NEAR(history.spread_seconds(), 1.2533 * 1.4826 * 0.1 / std::sqrt(8.0), 1e-4);
  EXPECT_FALSE(history.Judge(0).has_value()) << "nothing was predicted of the first plan";
  EXPECT_EQ(history.previous(), nullptr);
  EXPECT_DOUBLE_EQ(history.model_error(), 0.02);
}

TEST(PlanHistoryTest, OnlyTheNewestStepsCount) {
  PlanHistory history;
  history.Begin(PlanOf(0), std::nullopt);
  for (int i = 0; i < 100; ++i) history.Record(1);
  for (int i = 0; i < 64; ++i) history.Record(3);
  history.Begin(PlanOf(1), 0.5);
  for (int i = 0; i < 9; ++i) history.Record(2);
  EXPECT_DOUBLE_EQ(history.Judge(0)->before_seconds, 3);
}

TEST(PlanHistoryTest, AGoodSwitchIsKept) {
  Steps steps(1);
  PlanHistory history;
  history.Begin(PlanOf(0), std::nullopt);
  steps.Run(history, 0.100);
  history.Begin(PlanOf(1), 0.012);
  steps.Run(history, 0.090);
  const std::optional<PlanSwitch> judged = history.Judge(0);
  ASSERT_TRUE(judged.has_value());
  EXPECT_FALSE(judged->undone);
  EXPECT_EQ(judged->epoch, 1);
  EXPECT_EQ(judged->predicted_gain, 0.012);
  EXPECT_NEAR(judged->gain(), 0.010, 3 * judged->noise_seconds);
  EXPECT_TRUE(history.refused().empty());
  EXPECT_FALSE(history.Judge(0).has_value()) << "it is judged once";
  EXPECT_EQ(history.switches().size(), 1u);
}

TEST(PlanHistoryTest, ABadSwitchIsUndoneOnce) {
  Steps steps(2);
  PlanHistory history;
  const auto good = PlanOf(0), bad = PlanOf(1);
  history.Begin(good, std::nullopt);
  steps.Run(history, 0.100);
  history.Begin(bad, 0.003);
  steps.Run(history, 0.115);
  const std::optional<PlanSwitch> judged = history.Judge(0);
  ASSERT_TRUE(judged.has_value());
  EXPECT_TRUE(judged->undone);
  EXPECT_EQ(history.previous(), good);
  ASSERT_EQ(history.refused().size(), 1u);
  EXPECT_EQ(history.refused()[0].plan, bad);
  EXPECT_DOUBLE_EQ(history.refused()[0].loss_seconds, -judged->gain());
  // The median of the 2% it started with and the 18% just seen.
  EXPECT_NEAR(history.model_error(), 0.1, 0.02);

  // Going back promises nothing, so that it is not judged, however slow the machine has become.
  history.Begin(good, std::nullopt);
  steps.Run(history, 0.200);
  EXPECT_FALSE(history.Judge(0).has_value());
  EXPECT_EQ(history.refused().size(), 1u);
  EXPECT_EQ(history.switches().size(), 1u);
}

TEST(PlanHistoryTest, ALossThatIsNotWorthASwitchStays) {
  for (const double cost : {0.001, 0.1}) {
    Steps steps(3);
    PlanHistory history;
    history.Begin(PlanOf(0), std::nullopt);
    steps.Run(history, 0.100);
    history.Begin(PlanOf(1), 0.003);
    steps.Run(history, 0.130);
    EXPECT_EQ(history.Judge(cost)->undone, cost < 0.03);
  }
}

// Nothing is certain about noise, but three standard errors are as rare as statistics says.
TEST(PlanHistoryTest, NoiseAloneDoesNotGoBack) {
  int undone = 0;
  for (uint64_t seed = 0; seed < 500; ++seed) {
    Steps steps(seed);
    PlanHistory history;
    history.Begin(PlanOf(0), std::nullopt);
    steps.Run(history, 0.100);
    history.Begin(PlanOf(1), 0.002);
    steps.Run(history, 0.100);
    const std::optional<PlanSwitch> judged = history.Judge(0);
    ASSERT_TRUE(judged.has_value());
    undone += judged->undone ? 1 : 0;
  }
  EXPECT_LE(undone, 5);
}

TEST(PlanHistoryTest, OutliersAreNoLoss) {
  PlanHistory history;
  history.Begin(PlanOf(0), std::nullopt);
  for (int i = 0; i < 20; ++i) history.Record(0.100 + 0.001 * (i % 3));
  history.Begin(PlanOf(1), 0.002);
  for (int i = 0; i < 20; ++i) history.Record(i % 4 == 0 ? 10.0 : 0.100 + 0.001 * (i % 3));
  EXPECT_FALSE(history.Judge(0)->undone);
}

TEST(PlanHistoryTest, TheModelsErrorIsTheMedianOfWhatWasSeen) {
  PlanHistory history;
  history.Begin(PlanOf(0), std::nullopt);
  for (int i = 0; i < 9; ++i) history.Record(1);
  // Each promises 10% and keeps the step as it is, but the last, which does what it promised.
  const double after[] = {1, 1, 0.9};
  const double error[] = {0.06, 0.1, 0.06};
  for (int64_t epoch = 1; epoch <= 3; ++epoch) {
    history.Begin(PlanOf(epoch), 0.1);
    for (int i = 0; i < 9; ++i) history.Record(after[epoch - 1]);
    ASSERT_TRUE(history.Judge(0).has_value());
    EXPECT_NEAR(history.model_error(), error[epoch - 1], 1e-12) << "epoch " << epoch;
  }
}

TEST(PlanHistoryTest, APlanThatHardlyRanIsNotComparedWith) {
  PlanHistory history;
  history.Begin(PlanOf(0), std::nullopt);
  history.Record(1);
  history.Begin(PlanOf(1), 0.1);
  for (int i = 0; i < 9; ++i) history.Record(5);
  EXPECT_FALSE(history.Judge(0).has_value());
  EXPECT_DOUBLE_EQ(history.model_error(), 0.02);
}

}  // namespace
}  // namespace weft
