// Finalists of a search are simulated for each of the last steps.

#include "runtime/plan_search.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "models/build_step_graph.h"
#include "runtime/replanner.h"
#include "runtime/statistics.h"
#include "scheduler/analytic_cost_model.h"
#include "scheduler/replan.h"
#include "scheduler/simulate.h"

namespace weft {
namespace {

constexpr int32_t kExperts = 8;
constexpr int32_t kRanks = 4;

// Four ranks on two nodes, two of them for each half of the experts.
StepShape Shape() {
  StepShape shape;
  shape.model.num_layers = 1;
  shape.model.hidden_size = 64;
  shape.model.ffn_hidden_size = 512;
  shape.model.moe.num_experts = kExperts;
  shape.topology = {kRanks, 2};
  shape.layout = {1, 2, 2};
  shape.batch = {8, 64, 1, 32};
  return shape;
}

// Bytes count, starts of transfers do not.
std::shared_ptr<const CostModel> Costs() {
  MachineSpeeds speeds;
  speeds.local.latency = speeds.intra.latency = speeds.inter.latency = speeds.launch = 1e-7;
  speeds.flops = 6e11;
  speeds.intra.bandwidth = 8e8;
  speeds.inter.bandwidth = 2e8;
  return std::make_shared<const AnalyticCostModel>(speeds);
}

int32_t RowsOf(const StepShape& shape) {
  return static_cast<int32_t>(shape.batch.tokens() * shape.model.moe.top_k);
}

// Nearly all rows go to expert 0.
std::vector<int32_t> OneHot(const StepShape& shape) {
  std::vector<int32_t> counts;
  for (int32_t rank = 0; rank < kRanks; ++rank) {
    for (int32_t e = 0; e < kExperts; ++e) counts.push_back(RowsOf(shape) / 37 * (e == 0 ? 30 : 1));
  }
  return counts;
}

// Each rank's rows go to two experts of the other node: no expert is hot, the link is.
std::vector<int32_t> AllFar(const StepShape& shape) {
  std::vector<int32_t> counts;
  for (int32_t rank = 0; rank < kRanks; ++rank) {
    for (int32_t e = 0; e < kExperts; ++e)
      counts.push_back(e / 2 == (rank + 2) % kRanks ? RowsOf(shape) / 2 : 0);
  }
  return counts;
}

class PlanSearchTest : public testing::Test {
 protected:
  PlanSearchTest() {
    inputs_.graph = std::make_shared<const StepGraph>(BuildStepGraph(
        shape_.model, shape_.topology, shape_.layout, shape_.batch, StepKind::kTraining));
    inputs_.costs = Costs();
    inputs_.options.allow_reassociation = true;
    inputs_.rows = RowsOf(shape_);
    inputs_.arrived_rows = RowsOf(shape_) * shape_.layout.esp;
    Seen({});
  }

  void Seen(const std::vector<std::vector<int32_t>>& steps) {
    ExpertLoads loads(shape_);
    for (const auto& counts : steps) loads.Record(counts);
    inputs_.loads = std::make_shared<const ExpertLoads>(loads);
  }
  // Sixteen steps: each of the newest eight has eight before it to follow.
  void SeenInTurn() {
    std::vector<std::vector<int32_t>> steps;
    for (int i = 0; i < 8; ++i) {
      steps.push_back(OneHot(shape_));
      steps.push_back(AllFar(shape_));
    }
    Seen(steps);
  }
  PlanSearch Search() {
    auto search = SearchPlans(inputs_, "weft", 3);
    EXPECT_TRUE(search.ok()) << search.status();
    return *std::move(search);
  }
  double SecondsOfMeanSizes(const Plan& plan) {
    return Simulate(GraphUnder(inputs_, plan.placements), plan, *inputs_.costs).seconds;
  }

  const StepShape shape_ = Shape();
  PlanningInputs inputs_;
};

// Experts that follow a memory of eight steps relieve the mean of two kinds of steps and burden one
// of them: for the mean sizes that is the fastest plan, over the steps it is not.
TEST_F(PlanSearchTest, WhereHotExpertsTakeTurnsTheMeanStepDecidesNotTheStepOfMeanSizes) {
  SeenInTurn();
  const PlanSearch search = Search();
  EXPECT_EQ(search.best().experts, "at home");
  const PlanCandidate* by_sizes = nullptr;
  for (const PlanCandidate& one : search.candidates) {
    if (!one.finalist) {
      EXPECT_FALSE(one.p90_seconds.has_value());
      continue;
    }
    std::vector<double> seconds;
    for (const LoadedStep& step : inputs_.loads->ApplyEach(*inputs_.graph, one.plan.placements)) {
      Plan placed = one.plan;
      placed.placements = step.placements;
      seconds.push_back(Simulate(step.graph, placed, *inputs_.costs).seconds);
    }
    ASSERT_EQ(seconds.size(), 8u);
    double mean = 0;
    for (const double s : seconds) mean += s / 8;
    EXPECT_NEAR(one.seconds, mean, 1e-9 * mean) << one.experts;
    EXPECT_EQ(one.p90_seconds, Quantile(seconds, 0.9)) << one.experts;
    EXPECT_GE(one.seconds, search.best().seconds);
    if (by_sizes == nullptr || SecondsOfMeanSizes(one.plan) < SecondsOfMeanSizes(by_sizes->plan))
      by_sizes = &one;
  }
  ASSERT_NE(by_sizes, nullptr);
  ASSERT_TRUE(by_sizes->plan.placements.follow_load.has_value()) << by_sizes->experts;
  EXPECT_LT(SecondsOfMeanSizes(by_sizes->plan), 0.99 * SecondsOfMeanSizes(search.plan()));
  EXPECT_GT(by_sizes->seconds, 1.02 * search.best().seconds);
  // The experts are in the same places in all steps: it is the sizes that differ.
  for (const LoadedStep& step :
       inputs_.loads->ApplyEach(*inputs_.graph, by_sizes->plan.placements)) {
    EXPECT_EQ(step.placements, by_sizes->plan.placements);
  }
}

TEST_F(PlanSearchTest, WithoutStepsTheExpectedLoadDecides) {
  for (const bool empty : {true, false}) {
    if (!empty) inputs_.loads = nullptr;
    const PlanSearch search = Search();
    for (const PlanCandidate& one : search.candidates) {
      EXPECT_FALSE(one.p90_seconds.has_value());
      EXPECT_NEAR(one.seconds, one.plan.predicted_seconds, 1e-12) << one.experts;
      if (!one.finalist) continue;
      EXPECT_GE(one.seconds, search.best().seconds);
    }
  }
}

// Costs of collectives times `communication`.
class Scaled final : public CostModel {
 public:
  Scaled(std::shared_ptr<const CostModel> inner, double communication)
      : inner_(std::move(inner)), communication_(communication) {}
  CostEstimate Estimate(const CostKey& key, double size) const override {
    CostEstimate estimate = inner_->Estimate(key, size);
    if (key.group != GroupKind::kNone) estimate.seconds *= communication_;
    return estimate;
  }

 private:
  const std::shared_ptr<const CostModel> inner_;
  const double communication_;
};

TEST_F(PlanSearchTest, MultiprocessorsAreLimitedWhereThatIsPredictedToPay) {
  inputs_.loads = nullptr;
  inputs_.limited_costs[8] = std::make_shared<const Scaled>(Costs(), 0.5);
  inputs_.limited_costs[16] = std::make_shared<const Scaled>(Costs(), 2);
  const PlanSearch search = Search();
  EXPECT_EQ(search.plan().sm_limit, 8);
  EXPECT_TRUE(ValidatePlan(*inputs_.graph, search.plan()).ok());
  size_t limited = 0;
  for (const PlanCandidate& one : search.candidates) {
    EXPECT_EQ(one.seconds, PredictStep(inputs_, one.plan).seconds) << one.experts;
    if (one.plan.sm_limit == 0) continue;
    ++limited;
    EXPECT_EQ(one.experts.substr(one.experts.find(',')),
              one.plan.sm_limit == 8 ? ", 8 SMs" : ", 16 SMs");
    Plan free = one.plan;
    free.sm_limit = 0;
    EXPECT_EQ(PredictStep(inputs_, free).seconds < one.seconds, one.plan.sm_limit == 16);
    EXPECT_FALSE(SameTasks(free, one.plan));
  }
  EXPECT_EQ(limited, 2u);

  inputs_.limited_costs.erase(8);
  EXPECT_EQ(Search().plan().sm_limit, 0);
  auto baseline = SearchPlans(inputs_, "fsmoe", 3);
  ASSERT_TRUE(baseline.ok()) << baseline.status();
  EXPECT_EQ(baseline->candidates.size(), 1u);
}

TEST_F(PlanSearchTest, OneStepIsItsOwnMeanAndPercentile) {
  Seen({OneHot(shape_)});
  const PlanSearch search = Search();
  size_t finalists = 0;
  for (const PlanCandidate& one : search.candidates) {
    if (!one.finalist) continue;
    ++finalists;
    EXPECT_EQ(one.p90_seconds, one.seconds);
    EXPECT_NEAR(one.seconds, one.plan.predicted_seconds, 1e-12) << one.experts;
    EXPECT_GE(one.seconds, search.best().seconds);
  }
  EXPECT_EQ(finalists, 3u) << "at home, following, gathering";
}

// What runs and what would replace it are judged alike.
TEST_F(PlanSearchTest, ReplanningWeighsMeanSteps) {
  SeenInTurn();
  const PlanSearch search = Search();
  const auto follows = std::find_if(
      search.candidates.begin(), search.candidates.end(), [](const PlanCandidate& one) {
        return one.finalist && one.plan.placements.follow_load.has_value();
      });
  ASSERT_NE(follows, search.candidates.end());
  const auto running = std::make_shared<const Plan>(follows->plan);
  const auto outcome = PlanAnew({inputs_, running, {0, 0, 0}});
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  ASSERT_TRUE(outcome->plan.has_value()) << outcome->decision.reason;
  EXPECT_TRUE(outcome->plan->placements.empty());
  EXPECT_EQ(outcome->decision.current_seconds, follows->seconds);
  EXPECT_EQ(outcome->decision.candidate_seconds, search.best().seconds);
}

TEST_F(PlanSearchTest, TheJobPredictsMeanSteps) {
  Replanner replanner(inputs_.graph, inputs_.options, ProfileTable{}, shape_);
  const auto unseen = replanner.Search("weft", 0);
  ASSERT_TRUE(unseen.ok()) << unseen.status();
  EXPECT_EQ(replanner.Explain(unseen->plan())->find("90th percentile"), std::string::npos);
  for (int i = 0; i < 2; ++i) {
    replanner.RecordRows(OneHot(shape_));
    replanner.RecordRows(AllFar(shape_));
  }
  replanner.Refresh();
  const auto search = replanner.Search("weft", 0);
  ASSERT_TRUE(search.ok()) << search.status();
  for (const PlanCandidate& one : search->candidates) {
    if (!one.finalist) continue;
    EXPECT_EQ(replanner.Predict(one.plan), one.seconds);
    EXPECT_EQ(replanner.PredictSteps(one.plan).p90_seconds, one.p90_seconds);
  }
  EXPECT_NE(replanner.Explain(search->plan())->find("90th percentile"), std::string::npos);
}

PlanCandidate Candidate(double seconds, std::optional<double> p90, bool finalist = true) {
  PlanCandidate one;
  one.seconds = seconds;
  one.finalist = finalist;
  one.p90_seconds = p90;
  return one;
}

TEST(BestOfTest, TheLeastMeanAndAmongEqualsTheRarelySlowOne) {
  EXPECT_EQ(BestOf({Candidate(1, 9), Candidate(1.1, 1), Candidate(0.5, 0.5, false)}), 0u);
  EXPECT_EQ(BestOf({Candidate(1.1, 1), Candidate(1, 9)}), 1u);
  EXPECT_EQ(BestOf({Candidate(1, 1.3), Candidate(1.004, 1.2)}), 1u) << "within 0.5%";
  EXPECT_EQ(BestOf({Candidate(1.004, 1.2), Candidate(1, 1.3)}), 0u);
  EXPECT_EQ(BestOf({Candidate(1, 1.3), Candidate(1.006, 1.2)}), 0u) << "not within 0.5%";
  EXPECT_EQ(BestOf({Candidate(1, 1.3), Candidate(1.004, 1.25), Candidate(1.008, 1.2)}), 1u)
      << "of the least mean, not of one another";
  EXPECT_EQ(BestOf({Candidate(1.002, 1.2), Candidate(1, 1.2)}), 1u) << "then the mean";
  EXPECT_EQ(BestOf({Candidate(1, 1.2), Candidate(1, 1.2)}), 0u) << "then the first";
  EXPECT_EQ(BestOf({Candidate(1.002, {}), Candidate(1, {})}), 1u) << "nothing was recorded";
}

}  // namespace
}  // namespace weft
