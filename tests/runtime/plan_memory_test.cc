#include "runtime/plan_memory.h"

#include "gtest/gtest.h"

namespace weft {
namespace {

// Plans that differ in their tasks.
std::shared_ptr<const Plan> MakePlan(int64_t epoch, int32_t tasks) {
  auto plan = std::make_shared<Plan>();
  plan->epoch = epoch;
  for (int32_t i = 0; i < tasks; ++i) plan->tasks.push_back({.op = OpId{i}});
  return plan;
}

class PlanMemoryTest : public testing::Test {
 protected:
  // Begins with a step that warms up.
  void Run(const std::shared_ptr<const Plan>& plan, int32_t bucket, double seconds, int steps) {
    memory_.Begin(plan);
    memory_.Record(bucket, 100);
    for (int i = 0; i < steps; ++i) memory_.Record(bucket, seconds + (i % 2 == 0 ? 1e-3 : -1e-3));
  }

  PlanMemory memory_;
  const std::shared_ptr<const Plan> a_ = MakePlan(0, 3), b_ = MakePlan(1, 4);
};

TEST_F(PlanMemoryTest, BucketsAreEighthsOfTheMean) {
  EXPECT_EQ(PlanMemory::BucketOf(1), 0);
  EXPECT_EQ(PlanMemory::BucketOf(0.999999), 0) << "a rounding below the mean";
  EXPECT_EQ(PlanMemory::BucketOf(1.124), 0);
  EXPECT_EQ(PlanMemory::BucketOf(1.125), 1);
  EXPECT_EQ(PlanMemory::BucketOf(2.46), 11);
  EXPECT_DOUBLE_EQ(PlanMemory::BeginOf(11), 2.375);
}

TEST_F(PlanMemoryTest, FindsWhatAPlanTookUnderTheNearestLoad) {
  Run(a_, 0, 0.2, 8);
  Run(a_, 5, 0.4, 6);
  EXPECT_EQ(memory_.Find(*a_, 1)->bucket, 0);
  const auto found = memory_.Find(*MakePlan(7, 3), 4);
  ASSERT_TRUE(found.has_value()) << "plans that issue the same tasks are one";
  EXPECT_EQ(found->bucket, 5);
  EXPECT_EQ(found->steps, 6);
  EXPECT_NEAR(found->seconds, 0.4, 2e-3);
  EXPECT_FALSE(memory_.Find(*b_, 0).has_value());
}

TEST_F(PlanMemoryTest, RecallsTheFastestOfTheSameLoadOnly) {
  Run(a_, 0, 0.2, 8);
  Run(a_, 5, 0.4, 8);
  Run(b_, 0, 0.3, 8);
  const auto recalled = memory_.Recall(0, 0);
  ASSERT_TRUE(recalled.has_value());
  EXPECT_EQ(recalled->plan, a_);
  EXPECT_NEAR(recalled->seconds, 0.2, 1e-3);
  EXPECT_NEAR(recalled->running_seconds, 0.3, 1e-3);
  EXPECT_FALSE(memory_.Recall(5, 0).has_value()) << "b was not measured there";
  EXPECT_FALSE(memory_.Recall(1, 0).has_value()) << "nothing was";
  EXPECT_FALSE(memory_.Recall(0, 0.11).has_value()) << "changing costs more";
}

TEST_F(PlanMemoryTest, NeedsEnoughStepsOfBothAndMoreThanNoise) {
  Run(a_, 0, 0.2, 7);
  Run(b_, 0, 0.3, 8);
  EXPECT_FALSE(memory_.Recall(0, 0).has_value());
  Run(a_, 0, 0.2, 1);
  Run(b_, 0, 0.3, 0);
  EXPECT_TRUE(memory_.Recall(0, 0).has_value());
  Run(b_, 0, 0.2001, 16);  // the newest count
  EXPECT_FALSE(memory_.Recall(0, 0).has_value());
}

TEST_F(PlanMemoryTest, PlansOfTheSameTasksAreOne) {
  Run(a_, 0, 0.2, 4);
  Run(MakePlan(7, 3), 0, 0.2, 4);
  Run(b_, 0, 0.3, 8);
  ASSERT_TRUE(memory_.Recall(0, 0).has_value());
  const std::vector<PlanMemory::Entry> entries = memory_.Entries();
  ASSERT_EQ(entries.size(), 2u);
  EXPECT_EQ(entries[0].epoch, 0) << "the fastest first";
  EXPECT_EQ(entries[0].steps, 8);
  EXPECT_EQ(entries[1].epoch, 1);
}

TEST_F(PlanMemoryTest, TheTableNamesLoadPlanAndTime) {
  EXPECT_EQ(ToTable({}), "");
  Run(a_, 11, 0.2, 1);
  const std::string table = ToTable(memory_.Entries());
  EXPECT_NE(table.find("2.375 to 2.500"), std::string::npos) << table;
  EXPECT_NE(table.find("201.00 ms"), std::string::npos) << table;
}

}  // namespace
}  // namespace weft
