#include "runtime/expert_loads.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>

#include "models/build_step_graph.h"
#include "runtime/explain_placement.h"
#include "runtime/plan_search.h"
#include "scheduler/analytic_cost_model.h"

namespace weft {
namespace {

// Four ranks on two nodes, eight experts in each of two layers.
StepShape Shape(const Layout& layout = {1, 4, 1}) {
  StepShape shape;
  shape.model.num_layers = 2;
  shape.model.hidden_size = 64;
  shape.model.ffn_hidden_size = 128;
  shape.model.moe.num_experts = 8;
  shape.topology = {4, 2};
  shape.layout = layout;
  shape.batch = {4, 128, 1, 16};
  return shape;
}

StepGraph GraphOf(const StepShape& s) {
  return BuildStepGraph(s.model, s.topology, s.layout, s.batch, StepKind::kTraining);
}

// Rows of one step: `hot` gets `times` as many as any other, on every rank.
std::vector<int32_t> Counts(const StepShape& s, int32_t hot = 0, int32_t times = 1) {
  const auto rows = static_cast<int32_t>(s.batch.tokens() * s.model.moe.top_k);
  std::vector<int32_t> counts;
  for (int32_t i = 0; i < s.topology.world_size * s.model.num_moe_layers(); ++i) {
    for (int32_t e = 0; e < 8; ++e) counts.push_back(rows / (7 + times) * (e == hot ? times : 1));
  }
  return counts;
}

const Op& Find(const StepGraph& graph, OpKind kind, Direction direction) {
  for (const Op& op : graph.ops) {
    if (op.key.kind == kind && op.direction() == direction && op.layer == 1) return op;
  }
  ADD_FAILURE() << "no such operation";
  return graph.ops.front();
}

TEST(ExpertLoadsTest, AnEvenLoadIsTheExpectedOne) {
  for (const Layout& layout : {Layout{1, 4, 1}, Layout{1, 2, 2}, Layout{2, 2, 1}}) {
    const StepShape shape = Shape(layout);
    const StepGraph graph = GraphOf(shape);
    ExpertLoads loads(shape);
    EXPECT_TRUE(loads.empty());
    EXPECT_EQ(loads.Fullness(), 1);
    const StepGraph unseen = loads.Apply(graph, {});
    loads.Record(Counts(shape));
    const StepGraph seen = loads.Apply(graph, {});
    EXPECT_EQ(FingerprintOf(seen), FingerprintOf(graph));
    EXPECT_EQ(loads.Fullness(), 1);
    for (const Op& op : graph.ops) {
      EXPECT_EQ(unseen.op(op.id).size, op.size) << OpName(graph, op.id);
      EXPECT_NEAR(seen.op(op.id).size, op.size, 1e-9 * op.size) << OpName(graph, op.id);
    }
  }
}

TEST(ExpertLoadsTest, TheBusiestRankCountsAsAMeanOverTheLastSteps) {
  const StepShape shape = Shape();
  const StepGraph graph = GraphOf(shape);
  ExpertLoads loads(shape);
  const auto expert = [&](const Placements& placements) {
    const StepGraph loaded = loads.Apply(graph, placements);
    return Find(loaded, OpKind::kExpert, Direction::kForward).size /
           Find(graph, OpKind::kExpert, Direction::kForward).size;
  };
  // Member 0 has experts 0 and 1: ten of the sixteen shares in place of four.
  loads.Record(Counts(shape, 0, 9));
  EXPECT_NEAR(expert({}), 2.5, 1e-9);
  EXPECT_NEAR(loads.Fullness(), 2.5, 1e-9);
  loads.Record(Counts(shape, 0, 1));
  EXPECT_NEAR(expert({}), 1.75, 1e-9);
  EXPECT_NEAR(loads.Fullness(), 1.75, 1e-9);
  // Where expert 0 works on its own the rank has nine shares.
  const Placements alone = {{{1, {{0}, {1, 2, 3}, {4, 5}, {6, 7}}}}, {}};
  EXPECT_NEAR(expert(alone), (2.25 + 1.5) / 2, 1e-9);
  for (int i = 0; i < 8; ++i) loads.Record(Counts(shape));
  EXPECT_NEAR(expert({}), 1, 1e-9) << "what is long ago is forgotten";
}

constexpr FollowLoad kFollow = {1, true, 1e-6, 1e-7, 1e-7};

// A step is judged by what was known before it: the first one of another hot spot finds the
// experts where the last one wanted them.
TEST(ExpertLoadsTest, FollowingIsAlwaysOneStepLate) {
  const StepShape shape = Shape();
  const StepGraph graph = GraphOf(shape);
  ExpertLoads loads(shape);
  const auto expert = [&] {
    const StepGraph loaded = loads.Apply(graph, loads.FollowAll(kFollow));
    return Find(loaded, OpKind::kExpert, Direction::kForward).size /
           Find(graph, OpKind::kExpert, Direction::kForward).size;
  };
  for (int i = 0; i < 9; ++i) loads.Record(Counts(shape, 0, 9));
  const double steady = expert();
  EXPECT_LT(steady, 1.1);
  loads.Record(Counts(shape, 7, 9));
  EXPECT_GT(expert(), steady + 0.1) << "one of eight steps was misplaced";
  for (int i = 0; i < 8; ++i) loads.Record(Counts(shape, 7, 9));
  EXPECT_NEAR(expert(), steady, 0.1);
}

TEST(ExpertLoadsTest, EachStepHasItsOwnSizesAndTheirMeanIsApplied) {
  const Placements alone = {{{1, {{0}, {1, 2, 3}, {4, 5}, {6, 7}}}}, {}};
  for (const Layout& layout : {Layout{1, 4, 1}, Layout{1, 2, 2}}) {
    const StepShape shape = Shape(layout);
    const StepGraph graph = GraphOf(shape);
    ExpertLoads loads(shape);
    EXPECT_TRUE(loads.ApplyEach(graph, {}).empty()) << "nothing was recorded";
    std::deque<std::vector<int32_t>> recorded;  // newest first
    for (int32_t i = 0; i < 11; ++i) {
      recorded.push_front(Counts(shape, i % 8, 1 + i));
      loads.Record(recorded.front());
      if (i > 1 && i < 10) continue;
      const size_t steps = std::min<size_t>(recorded.size(), 8);
      for (const Placements& placements :
           {Placements{}, layout.ep == 4 ? alone : Placements{}, loads.FollowAll(kFollow)}) {
        const std::vector<LoadedStep> each = loads.ApplyEach(graph, placements);
        ASSERT_EQ(each.size(), steps);
        const StepGraph mean = loads.Apply(graph, placements);
        for (const Op& op : graph.ops) {
          double sum = 0;
          for (const LoadedStep& step : each) sum += step.graph.op(op.id).size;
          EXPECT_NEAR(mean.op(op.id).size, sum / static_cast<double>(steps), 1e-9 * sum)
              << OpName(graph, op.id);
        }
        if (placements.follow_load.has_value()) continue;
        // A step is what it would have been had it been the only one.
        for (size_t age = 0; age < steps; ++age) {
          EXPECT_EQ(each[age].placements, placements);
          ExpertLoads only(shape);
          only.Record(recorded[age]);
          const StepGraph expected = only.Apply(graph, placements);
          for (const Op& op : graph.ops)
            EXPECT_EQ(each[age].graph.op(op.id).size, expected.op(op.id).size) << age;
        }
      }
    }
  }
}

TEST(ExpertLoadsTest, EachStepIsPlacedByWhatWasKnownBeforeIt) {
  const StepShape shape = Shape();
  const StepGraph graph = GraphOf(shape);
  ExpertLoads loads(shape);
  loads.Record(Counts(shape, 0, 9));
  loads.Record(Counts(shape, 7, 9));
  loads.Record(Counts(shape));
  const Placements even = loads.FollowAll(kFollow);
  const auto each = loads.ApplyEach(graph, even);
  ASSERT_EQ(each.size(), 3u);
  const auto after = [&](int32_t hot) {
    ExpertLoads only(shape);
    only.Record(Counts(shape, hot, 9));
    return only.FollowAll(kFollow);
  };
  EXPECT_EQ(each[0].placements, after(7));
  EXPECT_EQ(each[1].placements, after(0));
  EXPECT_EQ(each[2].placements, even) << "nothing was known before the first step";
  EXPECT_FALSE(after(0) == after(7));
  EXPECT_FALSE(even == after(7));
}

TEST(ExpertLoadsTest, FollowsEveryLayerWithExperts) {
  StepShape shape = Shape();
  shape.model.moe.every = 2;
  ExpertLoads loads(shape);
  const Placements unseen = loads.FollowAll(kFollow);
  ASSERT_EQ(unseen.layers.size(), 1u);
  EXPECT_EQ(unseen.layers[0].layer, 1);
  EXPECT_EQ(unseen.layers[0].experts, ExpertPlacement(8, 4).by_member());
  loads.Record(Counts(shape, 0, 9));
  EXPECT_TRUE(loads.Follow(loads.FollowAll(kFollow), 1).has_copies());
}

// Rows of one step: experts 0 and 1, who live together, get five times as many as any other.
std::vector<int32_t> TwoHot(const StepShape& s) {
  const auto rows = static_cast<int32_t>(s.batch.tokens() * s.model.moe.top_k);
  std::vector<int32_t> counts;
  for (int32_t i = 0; i < s.topology.world_size * s.model.num_moe_layers(); ++i) {
    for (int32_t e = 0; e < 8; ++e) counts.push_back(rows / 16 * (e < 2 ? 5 : 1));
  }
  return counts;
}

TEST(ExpertLoadsTest, LoadsGoWhereExpertsLive) {
  const StepShape shape = Shape();
  const StepGraph graph = GraphOf(shape);
  ExpertLoads loads(shape);
  for (int i = 0; i < 3; ++i) loads.Record(TwoHot(shape));
  const auto expert = [&](const Placements& placements) {
    const StepGraph loaded = loads.Apply(graph, placements);
    return Find(loaded, OpKind::kExpert, Direction::kForward).size /
           Find(graph, OpKind::kExpert, Direction::kForward).size;
  };
  EXPECT_NEAR(expert({}), 2.5, 1e-9);
  Placements rebalanced;
  rebalanced.homes = loads.Rebalance(kFollow, {});
  ASSERT_EQ(rebalanced.homes.size(), 2u) << "every layer by itself";
  EXPECT_NEAR(expert(rebalanced), 1.5, 1e-9) << "one hot expert lives elsewhere";
  EXPECT_EQ(loads.Rebalance(kFollow, rebalanced.homes), rebalanced.homes);
  EXPECT_NEAR(loads.Fullness(), 2.5, 1e-9) << "the load is what it was";
  const auto each = loads.ApplyEach(graph, rebalanced);
  EXPECT_EQ(each.front().placements, rebalanced);

  // From there on experts follow the load by their homes: the hot ones no longer share a member.
  const Placements follow = loads.FollowAll(kFollow, rebalanced.homes);
  EXPECT_EQ(follow.homes, rebalanced.homes);
  EXPECT_LE(expert(follow), 1.5);
  EXPECT_EQ(loads.ApplyEach(graph, follow).front().placements, follow);
}

class SearchPlanTest : public testing::Test {
 protected:
  SearchPlanTest() {
    inputs_.graph = std::make_shared<const StepGraph>(GraphOf(shape_));
    inputs_.costs = std::make_shared<const AnalyticCostModel>(MachineSpeeds{});
    inputs_.rows = inputs_.arrived_rows =
        static_cast<double>(shape_.batch.tokens() * shape_.model.moe.top_k);
    Seen(0);
  }
  void Seen(int steps, int32_t times = 9) {
    ExpertLoads loads(shape_);
    for (int i = 0; i < steps; ++i) loads.Record(Counts(shape_, 0, times));
    inputs_.loads = std::make_shared<const ExpertLoads>(loads);
  }
  Plan Search(const std::string& policy = "weft") {
    auto plan = SearchPlan(inputs_, policy, 3);
    EXPECT_TRUE(plan.ok()) << plan.status();
    EXPECT_TRUE(ValidatePlan(*inputs_.graph, *plan).ok());
    EXPECT_EQ(plan->epoch, 3);
    return *std::move(plan);
  }

  const StepShape shape_ = Shape();
  PlanningInputs inputs_;
};

// Wide batches of small experts: weights are less than rows. And the other way round.
TEST(GatherSearchTest, GathersShardsWhereTheyAreLessThanRows) {
  for (const bool wide : {true, false}) {
    StepShape shape;
    shape.model = Shape().model;
    shape.model.ffn_hidden_size = wide ? 64 : 4096;
    shape.topology = {4, 4};
    shape.layout = {1, 1, 4};
    shape.batch = {wide ? 64 : 1, 64, 1, wide ? 256 : 4};
    PlanningInputs inputs;
    inputs.graph = std::make_shared<const StepGraph>(GraphOf(shape));
    inputs.costs = std::make_shared<const AnalyticCostModel>(MachineSpeeds{});
    EXPECT_TRUE(SearchPlan(inputs, "weft", 0)->placements.empty()) << "sums keep their order";
    inputs.options.allow_reassociation = true;
    const auto plan = SearchPlan(inputs, "weft", 0);
    ASSERT_TRUE(plan.ok()) << plan.status();
    EXPECT_TRUE(ValidatePlan(*inputs.graph, *plan).ok());
    EXPECT_EQ(!plan->placements.empty(), wide);
    EXPECT_EQ(GatheredOf(*plan, 0) > 1, wide);
    inputs.options.expert_placement = "home";
    EXPECT_TRUE(SearchPlan(inputs, "weft", 0)->placements.empty());
    EXPECT_TRUE(SearchPlan(inputs, "fsmoe", 0)->placements.empty());
  }
}

TEST_F(SearchPlanTest, FollowsTheLoadWhenThatIsPredictedToBeFaster) {
  inputs_.options.allow_reassociation = true;
  EXPECT_TRUE(Search().placements.empty()) << "nothing was seen";
  Seen(9);
  const Plan away = Search();
  ASSERT_TRUE(away.placements.follow_load.has_value());
  EXPECT_EQ(away.numerics, "reassociating");
  EXPECT_GT(away.placements.follow_load->row_seconds, 0);
  EXPECT_GT(away.placements.follow_load->far_row_seconds, 0);
  EXPECT_GT(away.placements.follow_load->move_seconds, 0);
  inputs_.options.expert_placement = "home";
  const Plan home = Search();
  EXPECT_TRUE(home.placements.empty());
  EXPECT_LT(away.predicted_seconds, home.predicted_seconds);
  inputs_.options.expert_placement = "auto";
  Seen(9, 1);
  EXPECT_TRUE(Search().placements.empty()) << "an even load is best served at home";
}

TEST_F(SearchPlanTest, TheExplanationSaysWhoIsRelieved) {
  inputs_.options.allow_reassociation = true;
  Seen(9);
  const Plan plan = Search();
  ASSERT_FALSE(plan.placements.empty());
  const StepGraph home = GraphUnder(inputs_, {});
  const StepGraph placed = GraphUnder(inputs_, plan.placements);
  const std::string text = ExplainPlacement(plan, *inputs_.graph, home, placed);
  EXPECT_NE(text.find("they follow the load: placed before every step"), std::string::npos) << text;
  EXPECT_NE(text.find("    2.50 "), std::string::npos) << text;  // member 0 at home, see above
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 3 + 2) << text;
  EXPECT_EQ(ExplainPlacement(Plan{}, *inputs_.graph, home, placed), "");
}

TEST_F(SearchPlanTest, ExpertsMoveHouseWhereTheLoadLasts) {
  ExpertLoads loads(shape_);
  for (int i = 0; i < 8; ++i) loads.Record(TwoHot(shape_));
  inputs_.loads = std::make_shared<const ExpertLoads>(loads);
  inputs_.options.expert_placement = "rebalance";
  EXPECT_TRUE(Search().placements.homes.empty()) << "sums keep their order";
  inputs_.options.allow_reassociation = true;
  inputs_.options.replan_every = 1000;
  const Plan plan = Search();
  EXPECT_TRUE(plan.placements.layers.empty());
  EXPECT_EQ(plan.placements.homes.size(), 2u);
  EXPECT_EQ(plan.numerics, "reassociating");
  const std::string text = ExplainPlacement(plan, *inputs_.graph, *inputs_.graph, *inputs_.graph);
  EXPECT_NE(text.find("where experts live, where the load moved them"), std::string::npos) << text;
  // Whoever lives there stays, whatever makes the plan.
  inputs_.homes = plan.placements.homes;
  EXPECT_EQ(Search().placements.homes, plan.placements.homes);
  EXPECT_EQ(Search("fsmoe").placements.homes, plan.placements.homes);
  inputs_.homes.clear();
  EXPECT_TRUE(Search("fsmoe").placements.homes.empty()) << "baselines stay at home";
}

// Predicted for the plan in which experts move house, with so many steps until the next look.
std::vector<double> MovedSeconds(PlanningInputs inputs, const std::vector<int32_t>& replan_every) {
  inputs.options.expert_placement = "rebalance";
  inputs.options.allow_reassociation = true;
  std::vector<double> seconds;
  for (const int32_t every : replan_every) {
    inputs.options.replan_every = every;
    const auto search = SearchPlans(inputs, "weft", 0);
    EXPECT_TRUE(search.ok()) << search.status();
    if (!search.ok()) continue;
    for (const PlanCandidate& one : search->candidates) {
      if (one.finalist && !one.plan.placements.homes.empty()) seconds.push_back(one.seconds);
    }
  }
  return seconds;
}

TEST_F(SearchPlanTest, MovingHousePaysForItselfUntilTheNextLook) {
  ExpertLoads loads(shape_);
  for (int i = 0; i < 8; ++i) loads.Record(TwoHot(shape_));
  inputs_.loads = std::make_shared<const ExpertLoads>(loads);
  const std::vector<double> seconds = MovedSeconds(inputs_, {1, 2, 1000000});
  ASSERT_EQ(seconds.size(), 3u);
  EXPECT_NEAR(seconds[0] - seconds[2], 2 * (seconds[1] - seconds[2]), 1e-3 * seconds[0]);
  EXPECT_GT(seconds[0], seconds[1]);
}

// Two copies of everything, whose optimizer state is spread or not.
TEST(MovingHouseTest, SpreadStateIsGatheredFirst) {
  const auto moving_seconds = [](int32_t zero_stage) {
    const StepShape shape = Shape({2, 2, 1, 1, zero_stage});
    PlanningInputs inputs;
    inputs.graph = std::make_shared<const StepGraph>(GraphOf(shape));
    inputs.costs = std::make_shared<const AnalyticCostModel>(MachineSpeeds{});
    inputs.rows = inputs.arrived_rows =
        static_cast<double>(shape.batch.tokens() * shape.model.moe.top_k);
    ExpertLoads loads(shape);
    for (int i = 0; i < 8; ++i) loads.Record(TwoHot(shape));
    inputs.loads = std::make_shared<const ExpertLoads>(loads);
    const std::vector<double> seconds = MovedSeconds(inputs, {1, 1000000});
    EXPECT_EQ(seconds.size(), 2u);
    return seconds.size() == 2 ? seconds[0] - seconds[1] : 0;
  };
  const double whole = moving_seconds(0);
  EXPECT_GT(whole, 0);
  EXPECT_GT(moving_seconds(1), 1.1 * whole);
}

TEST_F(SearchPlanTest, CopiesNeedLeave) {
  Seen(9);
  const Plan plan = Search();
  EXPECT_EQ(plan.numerics, "exact");
  if (plan.placements.follow_load.has_value()) {
    EXPECT_FALSE(plan.placements.follow_load->copies);
  }
}

TEST_F(SearchPlanTest, AnOrderToFollowIsFollowedFromTheStart) {
  inputs_.options.expert_placement = "follow";
  const Plan plan = Search();
  ASSERT_TRUE(plan.placements.follow_load.has_value());
  EXPECT_EQ(plan.placements.layers.size(), 2u);
  EXPECT_TRUE(Search("fsmoe").placements.empty()) << "baselines stay at home";
}

}  // namespace
}  // namespace weft
