#include "scheduler/draft_simulator.h"

#include <gtest/gtest.h>

#include "scheduler/issue_order.h"
#include "scheduler/passes/passes.h"
#include "tests/scheduler/step_graph_builder.h"

namespace weft {
namespace {

constexpr Service kServices[] = {Service::kInOrder,      Service::kGradientsYield,
                                 Service::kCriticalPath, Service::kCriticalGaps,
                                 Service::kChainGaps,    Service::kGiven};

// The costs of BalancedCosts, with streams in each other's way or not.
class CostsBeside final : public CostModel {
 public:
  explicit CostsBeside(double stretch) {
    if (stretch > 0) contention_.stretch[0][2] = contention_.stretch[2][1] = stretch;
  }
  CostEstimate Estimate(const CostKey& key, double size) const override {
    return alone_->Estimate(key, size);
  }
  Contention contention() const override { return contention_; }

 private:
  std::shared_ptr<const CostModel> alone_ = BalancedCosts();
  Contention contention_;
};

PlanDraft RandomDraft(const StepModel& model, const CounterRng& random, uint64_t& draw) {
  const auto pick = [&](auto& values) { return values[random.Bits(draw++) % std::size(values)]; };
  const auto coin = [&] { return random.Bits(draw++) % 2 == 0; };
  PlanDraft draft = MakeDraft(model);
  draft.service = pick(kServices);
  draft.rule = pick(kIntraRules);
  draft.streams = coin() ? kNumStreams : 1 + static_cast<int32_t>(random.Bits(draw++) % 3);
  draft.early_scatter = coin();
  for (size_t i = 0; i < draft.slots.size(); ++i) {
    SlotDraft& slot = draft.slots[i];
    slot.degree = pick(model.degrees());
    slot.ready_first = coin();
    slot.delay_wgrad = model.slots()[i].has_wgrad && coin();
    slot.cut_block = draft.service != Service::kInOrder && model.slots()[i].has_block &&
                     slot.degree <= model.graph().block_pieces && coin();
  }
  if (coin()) draft.slices = SlicesInTwo(model, random.Uniform(draw++));
  return draft;
}

// A step's seconds are those of the tasks in their order, whatever was simulated before, and
// whether or not the order was made to find them. Where a bound is said instead, it is one.
TEST(DraftSimulatorTest, SecondsAreThoseOfTheOrder) {
  const CounterRng random(1, "draft_simulator");
  uint64_t draw = 0;
  int drafts = 0;
  int ruled_out = 0;  // without a simulation
  for (int i = 0; i < 60; ++i) {
    const CostsBeside costs(i % 3 == 0 ? 0.3 : 0);
    const StepGraph graph = BuildTestGraph(RandomBlockModel(random, draw));
    draw += 50;
    const auto model = StepModel::Make(graph, costs, {1, 2, 3, 4, 8});
    ASSERT_TRUE(model.ok()) << model.status();
    DraftSimulator simulator(**model);
    for (int d = 0; d < 40; ++d) {
      const PlanDraft draft = RandomDraft(**model, random, draw);
      const IssueOrder order = MakeIssueOrder(**model, draft);
      std::vector<double> begin;
      std::vector<double> end;
      const double seconds = RunSchedule(order.schedule, begin, end);
      const SimulatedDraft simulated = simulator.Simulate(draft);
      ASSERT_EQ(simulated.seconds, seconds) << i << " " << d;
      ASSERT_EQ(simulated.tasks, order.schedule.size()) << i << " " << d;
      ASSERT_EQ(simulator.SecondsIfFaster(draft, 1.001 * seconds), seconds) << i << " " << d;
      for (const double best : {seconds, 0.97 * seconds, 0.7 * seconds}) {
        const double bound = simulator.SecondsIfFaster(draft, best);
        ASSERT_FALSE(Faster(bound, best)) << i << " " << d;
        ASSERT_LE(bound, seconds * (1 + 1e-12)) << i << " " << d;
        ruled_out += bound < seconds;
      }
      ++drafts;
    }
  }
  EXPECT_EQ(drafts, 2'400);
  EXPECT_GT(ruled_out, drafts / 2);
}

}  // namespace
}  // namespace weft
