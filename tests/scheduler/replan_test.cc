#include "scheduler/replan.h"

#include <gtest/gtest.h>

#include <memory>

#include "scheduler/measured_cost_model.h"
#include "scheduler/planner.h"
#include "scheduler/simulate.h"
#include "tests/scheduler/step_graph_builder.h"

namespace weft {
namespace {

// The same machine, except that a transfer between nodes starts `factor` times slower: a profile of
// one entry.
std::shared_ptr<const CostModel> WithSlowStarts(double factor) {
  ProfileTable profile;
  const CostKey key{
      OpKind::kDispatch, Direction::kNone, GroupKind::kEp, 2, LinkClass::kInterNode, DType::kU8, 0};
  profile.entries[key] = {{{0, 1}, {1, 1}}, {220e-6 * factor, 1e-9, 1, 0, true}};
  return std::make_shared<MeasuredCostModel>(profile, BalancedCosts());
}

class ReplanTest : public testing::Test {
 protected:
  Plan PlanFor(const CostModel& costs) {
    const absl::StatusOr<Plan> plan = MakePlan(RequestFor(graph_, costs));
    EXPECT_TRUE(plan.ok()) << plan.status();
    return *plan;
  }
  // Both simulated under these costs.
  ReplanDecision DecideUnder(const CostModel& costs, const Plan& current, const Plan& candidate,
                             const ReplanTerms& terms) {
    return Decide({current, Simulate(graph_, current, costs).seconds},
                  {candidate, Simulate(graph_, candidate, costs).seconds}, terms);
  }

  const StepGraph graph_ = BuildTestGraph(TestModel{});
  const std::shared_ptr<const CostModel> before_ = WithSlowStarts(1);
  const std::shared_ptr<const CostModel> after_ = WithSlowStarts(20);
  const Plan current_ = PlanFor(*before_);
  const Plan candidate_ = PlanFor(*after_);
};

TEST_F(ReplanTest, ReplacesWhenTheGainIsWorthIt) {
  const ReplanDecision decision = DecideUnder(*after_, current_, candidate_, {2, 1e-6, 1e-6});
  EXPECT_TRUE(decision.replace) << decision.reason;
  EXPECT_GT(decision.current_seconds, decision.candidate_seconds);
  EXPECT_DOUBLE_EQ(decision.required_gain, 3e-6);
  EXPECT_NE(decision.reason.find("gains"), std::string::npos) << decision.reason;
}

TEST_F(ReplanTest, NotForLessThanHysteresisTimesSpreadPlusSwitchCost) {
  const ReplanDecision free = DecideUnder(*after_, current_, candidate_, {0, 0, 0});
  const double gain = free.current_seconds - free.candidate_seconds;
  ASSERT_GT(gain, 0);
  EXPECT_TRUE(free.replace);
  EXPECT_FALSE(DecideUnder(*after_, current_, candidate_, {2, gain / 2, 0}).replace);
  EXPECT_TRUE(DecideUnder(*after_, current_, candidate_, {2, gain / 2.1, 0}).replace);
  EXPECT_FALSE(DecideUnder(*after_, current_, candidate_, {2, gain / 2.1, gain / 10}).replace);
}

TEST_F(ReplanTest, MeasurementAndModelMayBothBeOff) {
  const ReplanDecision free = DecideUnder(*after_, current_, candidate_, {0, 0, 0});
  const auto decide = [&](double spread, double model_error) {
    ReplanTerms terms{2, spread * free.gain(), 0};
    terms.model_error = model_error * free.gain() / free.current_seconds;
    return DecideUnder(*after_, current_, candidate_, terms);
  };
  const ReplanDecision decision = decide(0.3, 0.4);
  EXPECT_NEAR(decision.required_gain, 2 * 0.5 * free.gain(), 1e-12);
  EXPECT_NE(decision.reason.find("model error"), std::string::npos) << decision.reason;
  EXPECT_TRUE(decide(0.29, 0.4).replace);
  EXPECT_FALSE(decide(0.31, 0.4).replace);
  EXPECT_FALSE(decide(0.3, 0.41).replace);
  EXPECT_FALSE(decide(0, 0.51).replace);
}

TEST_F(ReplanTest, ARefusedPlanMustGainWhatItLostOnTop) {
  const double gain = DecideUnder(*after_, current_, candidate_, {0, 0, 0}).gain();
  Plan renamed = candidate_;
  renamed.epoch = 7;
  const auto refused = std::make_shared<const Plan>(renamed);
  ReplanTerms terms{0, 0, 0};
  terms.refused = {{refused, 0.5 * gain}};
  EXPECT_TRUE(DecideUnder(*after_, current_, candidate_, terms).replace);
  terms.refused = {{refused, 1.5 * gain}, {refused, 0.5 * gain}};
  const ReplanDecision again = DecideUnder(*after_, current_, candidate_, terms);
  EXPECT_FALSE(again.replace) << again.reason;
  EXPECT_DOUBLE_EQ(again.required_gain, 1.5 * gain);
  EXPECT_NE(again.reason.find("measured to lose"), std::string::npos) << again.reason;
  // Another plan is not concerned.
  terms.refused = {{std::make_shared<const Plan>(current_), 1.5 * gain}};
  EXPECT_TRUE(DecideUnder(*after_, current_, candidate_, terms).replace);
}

TEST_F(ReplanTest, NeverBackToASlowerPlanNorToTheSame) {
  const ReplanDecision slower = DecideUnder(*before_, current_, candidate_, {0, 0, 0});
  EXPECT_FALSE(slower.replace);
  EXPECT_NE(slower.reason.find("loses"), std::string::npos) << slower.reason;
  Plan renamed = current_;
  renamed.epoch = 7;
  renamed.predicted_seconds = 0;
  const ReplanDecision same = DecideUnder(*after_, current_, renamed, {0, 0, -1});
  EXPECT_FALSE(same.replace);
  EXPECT_NE(same.reason.find("still the best"), std::string::npos);
}

}  // namespace
}  // namespace weft
