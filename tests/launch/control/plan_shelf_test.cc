#include "launch/control/plan_shelf.h"

#include <gtest/gtest.h>

#include "base/fingerprint.h"

namespace weft {
namespace {

ProposedPlan MakePlan(int64_t epoch, const std::string& json) {
  return ProposedPlan{epoch, json, Fingerprint(json)};
}

TEST(PlanShelfTest, GivesTheNewestPlanOnce) {
  PlanShelf shelf;
  EXPECT_EQ(shelf.newest_epoch(), -1);
  EXPECT_FALSE(shelf.Take().has_value());
  ASSERT_TRUE(shelf.Put(MakePlan(0, "a")).ok());
  ASSERT_TRUE(shelf.Put(MakePlan(4, "b")).ok());
  const std::optional<ProposedPlan> taken = shelf.Take();
  ASSERT_TRUE(taken.has_value());
  EXPECT_EQ(taken->epoch, 4);
  EXPECT_EQ(taken->json, "b");
  EXPECT_FALSE(shelf.Take().has_value());
  EXPECT_TRUE(shelf.Get(4).ok());  // for those who come later
}

TEST(PlanShelfTest, RefusesAnEpochThatIsNotNewer) {
  PlanShelf shelf;
  ASSERT_TRUE(shelf.Put(MakePlan(3, "a")).ok());
  const absl::Status status = shelf.Put(MakePlan(3, "b"));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "plan epoch 3 is not newer than epoch 3");
  EXPECT_EQ(shelf.Get(3)->json, "a");
}

TEST(PlanShelfTest, RefusesBytesWithAnotherFingerprint) {
  PlanShelf shelf;
  ProposedPlan plan = MakePlan(1, "a plan");
  plan.json[2] ^= 1;
  EXPECT_EQ(shelf.Put(plan).code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(shelf.newest_epoch(), -1);
}

TEST(PlanShelfTest, RefusesAPlanTooLargeToSend) {
  PlanShelf shelf;
  const absl::Status status = shelf.Put(MakePlan(1, std::string(kMaxPlanBytes + 1, ' ')));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("67108865 bytes"), absl::string_view::npos) << status;
}

TEST(PlanShelfTest, NamesTheEpochThatIsOnOffer) {
  PlanShelf shelf;
  EXPECT_EQ(shelf.Get(0).status().code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(shelf.Put(MakePlan(5, "a")).ok());
  EXPECT_EQ(shelf.Get(4).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(shelf.Get(4).status().message(), "plan epoch 4 is not on offer; the newest is epoch 5");
}

}  // namespace
}  // namespace weft
