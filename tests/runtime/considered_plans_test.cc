#include "runtime/considered_plans.h"

#include "gtest/gtest.h"

namespace weft {
namespace {

// Plans that differ in their tasks.
Plan PlanOf(int64_t epoch, int32_t tasks) {
  Plan plan;
  plan.epoch = epoch;
  plan.policy = "weft";
  for (int32_t i = 0; i < tasks; ++i) plan.tasks.push_back({.op = OpId{i}});
  return plan;
}

std::function<StepPrediction()> Predicts(const StepPrediction& predicted) {
  return [predicted] { return predicted; };
}

StepPrediction NobodyAsks() {
  ADD_FAILURE() << "a candidate has the tasks of the plan that runs";
  return {};
}

class ConsideredPlansTest : public testing::Test {
 protected:
  ConsideredPlansTest() {
    search_.candidates.push_back({"at home", PlanOf(0, 3), 0.2, true, 0.225});
    search_.candidates.push_back({"gather 2 of 4 shards", PlanOf(0, 4), 0.3, false});
    search_.candidates[1].plan.policy = "fsmoe";
    search_.candidates[1].plan.degrees = {
        {0, Direction::kForward, 4}, {0, Direction::kBackward, 2}, {1, Direction::kForward, 4}};
    search_.candidates[1].plan.all_to_alls = {
        {0, AllToAllAlgorithm::k2DH}, {1, AllToAllAlgorithm::kPipe}, {2, AllToAllAlgorithm::k2DH}};
    memory_.Begin(std::make_shared<const Plan>(PlanOf(0, 3)));
    for (int i = 0; i < 5; ++i) memory_.Record(2, 0.25);
  }

  PlanSearch search_;
  PlanMemory memory_;
};

TEST_F(ConsideredPlansTest, SaysWhatWasMeasuredAndWhatWasNot) {
  const auto rows = ConsideredPlansOf(search_, PlanOf(4, 3), NobodyAsks, memory_, 0);
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_TRUE(rows[0].runs);
  EXPECT_FALSE(rows[1].runs);
  EXPECT_EQ(rows[0].all_to_all, "direct");
  EXPECT_EQ(rows[1].all_to_all, "2dh, pipe");
  EXPECT_EQ(ToTable(rows),
            "plans that the newest search compared (*: runs)\n"
            "    experts                        all-to-all    degrees     planned by     predicted "
            "   p90          "
            "measured               busiest rank\n"
            "  * at home                        direct                    weft           200.00 ms "
            "   225.00 ms    "
            "250.00 ms, 4 steps     1.250 to 1.375\n"
            "    gather 2 of 4 shards           2dh, pipe     2, 4        fsmoe          300.00 ms "
            "                "
            "not run\n");
}

TEST_F(ConsideredPlansTest, APlanThatIsNoCandidateHasARowWhileItRuns) {
  const auto rows = ConsideredPlansOf(search_, PlanOf(4, 5), Predicts({0.21, 0.24}), memory_, 0);
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[2].experts, "as in plan 4");
  EXPECT_EQ(rows[2].predicted_seconds, 0.21);
  EXPECT_EQ(rows[2].predicted_p90_seconds, 0.24);
  EXPECT_TRUE(rows[2].runs);
  EXPECT_FALSE(rows[0].runs);
}

TEST_F(ConsideredPlansTest, NoSearchNoTable) {
  EXPECT_EQ(ToTable(ConsideredPlansOf({}, PlanOf(0, 3), Predicts({0.2, {}}), memory_, 0)), "");
}

}  // namespace
}  // namespace weft
