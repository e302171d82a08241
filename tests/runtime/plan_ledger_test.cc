#include "runtime/plan_ledger.h"

#include "graph/fixed_plan.h"
#include "gtest/gtest.h"
#include "tests/graph/small_graph.h"

namespace weft {
namespace {

std::string PlanText(int64_t epoch, int32_t degree = 1) {
  Plan plan = MakeFixedPlan(SmallGraph(), {.forward = degree, .backward = degree});
  plan.epoch = epoch;
  return PlanToJson(SmallGraph(), plan);
}

class PlanLedgerTest : public testing::Test {
 protected:
  PlanLedger ledger_{std::make_shared<const StepGraph>(SmallGraph())};
};

TEST_F(PlanLedgerTest, APlanIsInstalledWhenAllHavePreparedIt) {
  EXPECT_EQ(ledger_.prepared_epoch(), 0);
  EXPECT_EQ(ledger_.TakeAgreed(0), nullptr) << "nothing was proposed";
  ASSERT_TRUE(ledger_.Prepare(1, PlanText(1, 2)).ok());
  EXPECT_EQ(ledger_.prepared_epoch(), 1);
  EXPECT_EQ(ledger_.TakeAgreed(0), nullptr) << "another rank has not prepared it";
  const std::shared_ptr<const Plan> plan = ledger_.TakeAgreed(1);
  ASSERT_NE(plan, nullptr);
  EXPECT_EQ(PlanToJson(SmallGraph(), *plan), PlanText(1, 2));
  EXPECT_EQ(ledger_.prepared_epoch(), 1);
  EXPECT_EQ(ledger_.TakeAgreed(1), nullptr) << "it runs already";
}

TEST_F(PlanLedgerTest, RanksAgreeOnTheMinimumAndOlderPlansAreForgotten) {
  for (const int64_t epoch : {1, 2, 4}) {
    ASSERT_TRUE(ledger_.Prepare(epoch, PlanText(epoch)).ok());
  }
  EXPECT_EQ(ledger_.prepared_epoch(), 4);
  ASSERT_NE(ledger_.TakeAgreed(2), nullptr);
  EXPECT_EQ(ledger_.TakeAgreed(1), nullptr);
  EXPECT_EQ(ledger_.prepared_epoch(), 4);
  const std::shared_ptr<const Plan> plan = ledger_.TakeAgreed(4);
  ASSERT_NE(plan, nullptr);
  EXPECT_EQ(plan->epoch, 4);
}

TEST_F(PlanLedgerTest, WhatIsRefusedIsNotPrepared) {
  ASSERT_TRUE(ledger_.Prepare(1, PlanText(1)).ok());
  ASSERT_NE(ledger_.TakeAgreed(1), nullptr);
  StepGraph other = SmallGraph();
  other.ops[0].key.shape_class += 1;
  Plan foreign = MakeFixedPlan(other, {});
  foreign.epoch = 2;
  Plan incomplete = MakeFixedPlan(SmallGraph(), {});
  incomplete.epoch = 2;
  incomplete.tasks.pop_back();
  const struct {
    const char* what;
    int64_t epoch;
    std::string text;
  } cases[] = {{"not JSON", 2, "{"},
               {"torn", 2, PlanText(2).substr(0, 100)},
               {"for another graph", 2, PlanToJson(other, foreign)},
               {"incomplete", 2, PlanToJson(SmallGraph(), incomplete)},
               {"announced under another epoch", 3, PlanText(2)},
               {"installed already", 1, PlanText(1)},
               {"older than what runs", 0, PlanText(0)}};
  for (const auto& c : cases) {
    const absl::Status refused = ledger_.Prepare(c.epoch, c.text);
    EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument) << c.what;
    EXPECT_FALSE(refused.message().empty()) << c.what;
    EXPECT_EQ(ledger_.prepared_epoch(), 1) << c.what;
  }
  EXPECT_TRUE(ledger_.Prepare(2, PlanText(2)).ok()) << "a good plan is taken after bad ones";
}

TEST_F(PlanLedgerTest, AgreementOnWhatThisRankNeverPreparedIsAProgrammersError) {
  EXPECT_DEATH((void)ledger_.TakeAgreed(3), "agree");
}

}  // namespace
}  // namespace weft
