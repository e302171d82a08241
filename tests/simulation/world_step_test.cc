#include "simulation/world_step.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

#include "models/build_step_graph.h"
#include "scheduler/analytic_cost_model.h"
#include "scheduler/measured_cost_model.h"
#include "scheduler/planner.h"
#include "scheduler/policies.h"
#include "scheduler/simulate.h"

namespace weft {
namespace {

ModelSpec SmallModel() {
  ModelSpec spec;
  spec.num_layers = 3;
  spec.hidden_size = 256;
  spec.ffn_hidden_size = 1024;
  spec.moe.num_experts = 8;
  return spec;
}

BatchShape BatchOf(const Topology& topology) { return {4, 128, 1, 4 * topology.world_size}; }

// A job on a cluster of 8 ranks, with links and arithmetic of about the same weight.
struct Job {
  ModelSpec spec = SmallModel();
  Topology topology{8, 4};
  Layout layout{1, 4, 2};
  BatchShape batch = BatchOf(topology);
  std::shared_ptr<const CostModel> costs =
      std::make_shared<const AnalyticCostModel>(MachineSpeeds{});
  std::vector<Straggler> stragglers;
  const RoutedRows* rows = nullptr;

  StepGraph Graph() const {
    return BuildStepGraph(spec, topology, layout, batch, StepKind::kTraining);
  }
  Plan PlanOf(const StepGraph& graph, const std::string& policy) const {
    PlanRequest request;
    request.graph = &graph;
    request.costs = costs.get();
    request.policy = policy;
    const absl::StatusOr<Plan> plan = MakePlan(request);
    EXPECT_TRUE(plan.ok()) << plan.status();
    return *plan;
  }
  WorldStep Simulate(const StepGraph& graph, const Plan& plan,
                     const std::vector<int32_t>& traced = {}) const {
    const Slowdowns slowdowns = SlowdownsOf(stragglers, topology);
    return SimulateWorld(
        {graph, plan, *costs, topology, layout, spec, batch, rows, slowdowns, traced});
  }
  WorkloadRows Rows(Workload workload) const {
    return WorkloadRows(spec, batch, topology.world_size, 1234, workload, 0);
  }
};

TEST(WorldStepTest, WithoutSkewAndStragglersItIsTheStepOfOneRank) {
  ProfileTable table;
  table.contention.stretch = {{{0, 0.1, 0.4}, {0.2, 0, 0.1}, {0.3, 0.2, 0}}};
  const auto alone = std::make_shared<const AnalyticCostModel>(MachineSpeeds{});
  const auto beside = std::make_shared<const MeasuredCostModel>(table, alone);
  for (const Layout& layout :
       {Layout{1, 4, 2}, Layout{1, 8, 1}, Layout{2, 2, 2}, Layout{1, 4, 2, 2}}) {
    Job job;
    job.layout = layout;
    const StepGraph graph = job.Graph();
    for (const std::shared_ptr<const CostModel>& costs :
         {std::shared_ptr<const CostModel>(alone), std::shared_ptr<const CostModel>(beside)}) {
      job.costs = costs;
      for (const std::string& policy : PolicyNames()) {
        const Plan plan = job.PlanOf(graph, policy);
        const SimulatedStep one = Simulate(graph, plan, *costs);
        const WorldStep world = job.Simulate(graph, plan, {0, 5, 7});
        EXPECT_EQ(world.seconds, one.seconds) << policy;
        EXPECT_EQ(world.SlowestRank(), -1) << policy;
        for (const std::vector<TracedTask>& rank : world.traced) {
          for (size_t t = 0; t < plan.tasks.size(); ++t) {
            ASSERT_EQ(rank[t].begin, one.begin[t]) << policy;
            ASSERT_EQ(rank[t].issued, one.begin[t]) << policy;
            ASSERT_EQ(rank[t].end - rank[t].begin, one.length[t]) << policy;
            ASSERT_EQ(rank[t].size, TaskSize(graph, plan, plan.tasks[t])) << policy;
          }
        }
      }
    }
  }
}

// Two ranks, three tasks: attention 4 s, an exchange over both 3 s, attention 5 s. Rank 1 computes
// 1.5 times as long, and what it takes part in travels twice as long:
//   rank 0: compute 0 to 4, waits for rank 1 until 6, exchange 6 to 12, compute 12 to 17
//   rank 1: compute 0 to 6,                           exchange 6 to 12, compute 12 to 19.5
// Rank 1 holds rank 0 up by 2 s of waiting and by the 3 s that the exchange takes longer than rank
// 0 would.
TEST(WorldStepTest, AStragglerByHand) {
  class Seconds final : public CostModel {
   public:
    CostEstimate Estimate(const CostKey&, double size) const override { return {size}; }
  };
  StepGraph graph;
  graph.num_layers = 1;
  for (int32_t i = 0; i < 3; ++i) {
    Op op;
    op.id = OpId{i};
    op.key.kind = OpKind::kAttention;
    op.key.direction = Direction::kForward;
    op.layer = 0;
    op.size = 4.0 + 0.5 * i;
    if (i > 0) op.needs = {OpId{i - 1}};
    graph.ops.push_back(op);
  }
  graph.ops[1].key.kind = OpKind::kGradAllReduce;
  graph.ops[1].key.group = GroupKind::kWorld;
  graph.ops[1].stream = StreamKind::kInter;
  graph.ops[1].size = 3;
  Plan plan;
  for (int32_t i = 0; i < 3; ++i) plan.tasks.push_back({.op = OpId{i}});
  Job job;
  job.topology = {2, 1};
  job.layout = {1, 2, 1};
  job.costs = std::make_shared<const Seconds>();
  job.stragglers = {{.rank = 1, .compute = 1.5, .link = 2}};
  const WorldStep world = job.Simulate(graph, plan, {0, 1});
  EXPECT_DOUBLE_EQ(world.seconds, 19.5);
  EXPECT_DOUBLE_EQ(world.traced[0][1].issued, 4);
  EXPECT_DOUBLE_EQ(world.traced[1][1].issued, 6);
  for (const std::vector<TracedTask>& rank : world.traced) {
    EXPECT_DOUBLE_EQ(rank[1].begin, 6);
    EXPECT_DOUBLE_EQ(rank[1].end, 12);
    EXPECT_DOUBLE_EQ(rank[2].begin, 12);
  }
  EXPECT_DOUBLE_EQ(world.traced[0][2].end, 17);
  EXPECT_DOUBLE_EQ(world.traced[1][2].end, 19.5);
  EXPECT_DOUBLE_EQ(world.ranks[0].waited, 2);
  EXPECT_DOUBLE_EQ(world.ranks[1].waited, 0);
  EXPECT_DOUBLE_EQ(world.ranks[0].busy[0], 9);
  EXPECT_DOUBLE_EQ(world.ranks[1].busy[0], 13.5);
  EXPECT_DOUBLE_EQ(world.ranks[0].busy[2], 6);
  EXPECT_DOUBLE_EQ(world.ranks[1].held_up, 5);
  EXPECT_EQ(world.SlowestRank(), 1);
}

TEST(WorldStepTest, ARankWithoutRowsIsOrdinary) {
  Job job;
  job.layout = {1, 8, 1};
  const StepGraph graph = job.Graph();
  const Plan plan = job.PlanOf(graph, "weft");
  const WorkloadRows rows = job.Rows(Workload::kZeroLoadRanks);  // experts 4 to 7 get none
  job.rows = &rows;
  const WorldStep world = job.Simulate(graph, plan, {0, 4, 7});
  EXPECT_GT(world.seconds, 0);
  for (size_t t = 0; t < plan.tasks.size(); ++t) {
    const OpKind kind = graph.op(plan.tasks[t].op).key.kind;
    if (kind != OpKind::kExpert && kind != OpKind::kExpertWgrad) continue;
    EXPECT_GT(world.traced[0][t].size, 0);
    EXPECT_EQ(world.traced[1][t].size, 0);
    EXPECT_EQ(world.traced[2][t].size, 0);
  }
}

TEST(WorldStepTest, SkewCostsTimeAndAnEvenWorkloadCostsNone) {
  for (const Layout& layout : {Layout{1, 8, 1}, Layout{1, 4, 2}}) {
    Job job;
    job.layout = layout;
    const StepGraph graph = job.Graph();
    for (const char* policy : {"sequential", "fsmoe", "weft"}) {
      const Plan plan = job.PlanOf(graph, policy);
      const double one = Simulate(graph, plan, *job.costs).seconds;
      const auto with = [&](Workload workload) {
        const WorkloadRows rows = job.Rows(workload);
        job.rows = &rows;
        WorldStep world = job.Simulate(graph, plan);
        job.rows = nullptr;
        return world;
      };
      // 1024 choices a rank over 8 experts leave no rest; blocks of 128 rows cut in three do.
      EXPECT_NEAR(with(Workload::kBalanced).seconds, one, 1e-3 * one) << policy;
      const WorldStep hot = with(Workload::kHotRank);  // three of four choices on experts 0 and 1
      EXPECT_GT(hot.seconds, 1.1 * one) << policy;
      EXPECT_LT(hot.SlowestRank(), 2) << policy << ": ranks 0 and 1 hold them";
    }
  }
}

// Every plan ends, whatever is slow: that the simulator has nothing left to start is a failed
// check.
TEST(WorldStepTest, MoreOrSlowerStragglersNeverMakeThePassFaster) {
  Job job;
  const StepGraph graph = job.Graph();
  const WorkloadRows rows = job.Rows(Workload::kZipf);
  job.rows = &rows;
  for (const std::string& policy : PolicyNames()) {
    const Plan plan = job.PlanOf(graph, policy);
    job.stragglers = {};
    double last = job.Simulate(graph, plan).seconds;
    for (const Straggler& next :
         {Straggler{.rank = 2, .compute = 1.5}, Straggler{.node = 1, .link = 3},
          Straggler{.rank = 2, .compute = 4, .link = 2}}) {
      job.stragglers.push_back(next);
      const double seconds = job.Simulate(graph, plan).seconds;
      EXPECT_GE(seconds, last) << policy;
      last = seconds;
    }
  }
}

TEST(WorldStepTest, FourThousandRanks) {
  Job job;
  job.spec.num_layers = 2;
  job.spec.moe.num_experts = 1024;
  job.topology = {4096, 8};
  job.layout = {1, 512, 8};
  job.batch = BatchOf(job.topology);
  const StepGraph graph = job.Graph();
  const Plan plan = job.PlanOf(graph, "fsmoe");
  EXPECT_EQ(job.Simulate(graph, plan).seconds, Simulate(graph, plan, *job.costs).seconds);
  // 256 experts are hot: those of the first 128 members of EP, 8 ranks each.
  const WorkloadRows rows = job.Rows(Workload::kHotRank);
  job.rows = &rows;
  job.stragglers = {{.rank = 2049, .compute = 1.25}};
  const WorldStep world = job.Simulate(graph, plan, {0, 4095});
  EXPECT_GT(world.seconds, Simulate(graph, plan, *job.costs).seconds);
  EXPECT_EQ(world.ranks.size(), 4096u);
  for (size_t t = 0; t < plan.tasks.size(); ++t) {
    if (graph.op(plan.tasks[t].op).key.kind != OpKind::kExpertWgrad) continue;
    EXPECT_GT(world.traced[0][t].size, 5 * world.traced[1][t].size);
  }
}

}  // namespace
}  // namespace weft
