#include "graph/plan.h"

#include <gtest/gtest.h>

#include <functional>
#include <limits>

#include "graph/fixed_plan.h"
#include "tests/graph/small_graph.h"

namespace weft {
namespace {

using Needs = std::vector<int32_t>;

TEST(PlanTest, SmallPlanIsValid) {
  const absl::Status status = ValidatePlan(SmallGraph(), SmallPlan());
  EXPECT_TRUE(status.ok()) << status;
}

TEST(PlanTest, ChunksNeedTheirChunkAndSlicesTheirSlice) {
  const std::vector<Needs> needs = TaskNeeds(SmallGraph(), SmallPlan());
  EXPECT_EQ(needs[0], Needs{});
  EXPECT_EQ(needs[2], Needs{0});
  EXPECT_EQ(needs[4], (Needs{0, 1}));  // expert chunk 0: router, dispatch chunk 0
  EXPECT_EQ(needs[5], (Needs{0, 2}));
  EXPECT_EQ(needs[6], Needs{3});  // all-reduce [0, 600) after its reduce-scatter
  EXPECT_EQ(needs[10], Needs{7});
  EXPECT_EQ(needs[11], (Needs{6, 8, 9, 10}));
}

// Which the rank that reduced them would have to hand on in other pieces than it has.
TEST(PlanTest, UnequalSlicesNeedAllOfThemAndAreNoPlan) {
  const StepGraph graph = SmallGraph();
  Plan plan = SmallPlan();
  plan.tasks[6].end = 500;
  plan.tasks[10].begin = 500;
  std::swap(plan.tasks[6], plan.tasks[7]);
  EXPECT_EQ(TaskNeeds(graph, plan)[7], (Needs{3, 6}));
  EXPECT_EQ(TaskNeeds(graph, plan)[10], (Needs{3, 6}));
  const absl::Status status = ValidatePlan(graph, plan);
  EXPECT_NE(status.message().find("must be a slice of grad_reduce_scatter.bwd.l0, too"),
            std::string::npos)
      << status;
}

TEST(PlanTest, DegreeOfAnUnnamedLayerIsOne) {
  const Plan plan = SmallPlan();
  EXPECT_EQ(DegreeOf(plan, 0, Direction::kBackward), 2);
  EXPECT_EQ(DegreeOf(plan, 0, Direction::kForward), 1);
  EXPECT_EQ(DegreeOf(plan, 7, Direction::kBackward), 1);
}

TEST(PlanTest, TaskNamesSayThePiece) {
  const StepGraph graph = SmallGraph();
  const Plan plan = SmallPlan();
  EXPECT_EQ(TaskName(graph, plan.tasks[0]), "router.bwd.l0");
  EXPECT_EQ(TaskName(graph, plan.tasks[2]), "dispatch.bwd.l0[1/2]");
  EXPECT_EQ(TaskName(graph, plan.tasks[10]), "grad_all_reduce.bwd.l0[600:1000]");
}

TEST(PlanTest, TaskSizesAddUpToTheOperation) {
  const StepGraph graph = SmallGraph();
  const Plan plan = SmallPlan();
  EXPECT_DOUBLE_EQ(TaskSize(graph, plan, plan.tasks[0]), 100);
  EXPECT_DOUBLE_EQ(TaskSize(graph, plan, plan.tasks[1]), 100);  // half of 200
  EXPECT_DOUBLE_EQ(TaskSize(graph, plan, plan.tasks[3]) + TaskSize(graph, plan, plan.tasks[7]),
                   500);
  EXPECT_DOUBLE_EQ(TaskSize(graph, plan, plan.tasks[3]), 300);
}

// The small graph with a router that may enter the pipeline, and an attention behind it.
StepGraph BlockGraph() {
  StepGraph graph = SmallGraph();
  graph.block_pieces = 2;
  graph.ops[0].cut = Cut::kEither;
  graph.ops[6].cut = Cut::kEither;
  graph.ops[6].key.kind = OpKind::kAttention;
  return graph;
}

// SmallPlan with those two operations in `router` and `attention` pieces.
Plan BlockPlan(const StepGraph& graph, int32_t router, int32_t attention) {
  Plan plan = SmallPlan();
  plan.graph_fingerprint = FingerprintOf(graph);
  const auto replace = [&](size_t at, int32_t pieces) {
    PlanTask task = plan.tasks[at];
    task.num_chunks = pieces;
    plan.tasks[at] = task;
    for (task.chunk = 1; task.chunk < pieces; ++task.chunk) {
      plan.tasks.insert(plan.tasks.begin() + static_cast<int64_t>(at) + task.chunk, task);
    }
  };
  replace(11, attention);
  replace(0, router);
  return plan;
}

StepGraph InOnePiece(StepGraph graph) {
  graph.block_pieces = 1;
  return graph;
}

TEST(PlanTest, ABlockEntersThePipelineAsAWholeOrNotAtAll) {
  const StepGraph graph = BlockGraph();
  for (const int32_t pieces : {1, 2}) {
    const absl::Status status = ValidatePlan(graph, BlockPlan(graph, pieces, pieces));
    EXPECT_TRUE(status.ok()) << status;
  }
  for (const auto& [plan, says] :
       {std::pair(BlockPlan(graph, 2, 1), "cut like the rest of its block, into 2"),
        std::pair(BlockPlan(graph, 3, 3), "must be cut into 2"),
        std::pair(BlockPlan(InOnePiece(graph), 2, 2), "into at most 1 pieces")}) {
    const StepGraph& whose =
        plan.graph_fingerprint == FingerprintOf(graph) ? graph : InOnePiece(graph);
    const absl::Status status = ValidatePlan(whose, plan);
    EXPECT_NE(std::string(status.message()).find(says), std::string::npos) << status;
  }
}

TEST(PlanTest, PiecesOfABlockNeedTheirPiece) {
  const StepGraph graph = BlockGraph();
  const Plan plan = BlockPlan(graph, 2, 2);
  const std::vector<Needs> needs = TaskNeeds(graph, plan);
  EXPECT_EQ(TaskName(graph, plan.tasks[1]), "router.bwd.l0[1/2]");
  EXPECT_EQ(needs[3], Needs{1});       // dispatch chunk 1 after router piece 1
  EXPECT_EQ(needs[4], (Needs{0, 1}));  // a gradient after all pieces
  EXPECT_EQ(TaskName(graph, plan.tasks[13]), "attention.bwd.l0[1/2]");
  EXPECT_EQ(needs[13], (Needs{7, 10, 11, 12}));  // its combine chunk, all slices, the piece before

  Plan turned = plan;
  std::swap(turned.tasks[12], turned.tasks[13]);
  const absl::Status status = ValidatePlan(graph, turned);
  EXPECT_NE(std::string(status.message())
                .find("attention.bwd.l0[1/2] is issued before attention.bwd.l0[0/2]"),
            std::string::npos)
      << status;
}

// The small graph, whose dispatch is direct or in two steps of pipe.
StepGraph ChoiceGraph() {
  StepGraph graph = SmallGraph();
  graph.ops[1].algorithms = Only(AllToAllAlgorithm::kDirect);
  Op step = graph.ops[1];
  step.algorithms = Only(AllToAllAlgorithm::kPipe);
  step.id = OpId{static_cast<int32_t>(graph.ops.size())};
  graph.ops.push_back(step);
  return graph;
}

TEST(PlanTest, OnlyTheChosenAllToAllHasTasks) {
  const StepGraph graph = ChoiceGraph();
  ASSERT_EQ(OpName(graph, graph.ops.back().id), OpName(graph, graph.ops[1].id) + ".pipe0");
  const auto says = [&graph](const Plan& plan) {
    return std::string(ValidatePlan(graph, plan).message());
  };
  for (const AllToAllAlgorithm algorithm : {AllToAllAlgorithm::kDirect, AllToAllAlgorithm::kPipe}) {
    EXPECT_EQ(says(MakeFixedPlan(graph, {.forward = 2, .backward = 2, .all_to_all = algorithm})),
              "");
  }
  const int32_t layer = graph.ops[1].layer;
  Plan plan = MakeFixedPlan(graph, {});
  plan.all_to_alls = {{layer, AllToAllAlgorithm::kPipe}};
  EXPECT_NE(says(plan).find("is not part of the layer's all-to-all, pipe"), std::string::npos)
      << says(plan);
  plan.all_to_alls = {{layer, AllToAllAlgorithm::kDirect}};
  EXPECT_EQ(says(plan), "");
  plan.all_to_alls.push_back({layer, AllToAllAlgorithm::kDirect});
  EXPECT_NE(says(plan).find("must be sorted by layer, one each"), std::string::npos) << says(plan);
  plan = MakeFixedPlan(graph, {.all_to_all = AllToAllAlgorithm::kPipe});
  std::erase_if(plan.tasks, [&](const PlanTask& task) { return task.op == graph.ops.back().id; });
  EXPECT_NE(says(plan).find("no task covers chunk 0"), std::string::npos) << says(plan);
}

struct Break {
  const char* says;  // part of the message
  std::function<void(Plan&)> apply;
};

// SmallGraph with an operation that moves experts of layer 0, and two members for four of them.
StepGraph GraphThatMoves() {
  StepGraph graph = SmallGraph();
  graph.experts = 4;
  graph.ep = 2;
  Op move;
  move.id = OpId{static_cast<int32_t>(graph.ops.size())};
  move.key.kind = OpKind::kExpertWeights;
  move.key.direction = Direction::kForward;
  move.key.group = GroupKind::kEp;
  move.key.group_size = 2;
  move.stream = StreamKind::kInter;
  move.layer = 0;
  move.size = 100;
  move.away = true;
  graph.ops.push_back(move);
  return graph;
}

// The same, whose experts are shared by four ranks.
StepGraph GraphThatGathers() {
  StepGraph graph = GraphThatMoves();
  graph.esp = 4;
  Op gather = graph.ops.back();
  gather.id = OpId{static_cast<int32_t>(graph.ops.size())};
  gather.key.kind = OpKind::kExpertShardGather;
  gather.key.group = GroupKind::kEsp;
  gather.key.group_size = 4;
  gather.stream = StreamKind::kIntra;
  gather.away = false;
  gather.shards = true;
  graph.ops.push_back(gather);
  return graph;
}

TEST(PlanTest, OnlyAPlacementGathersShards) {
  const StepGraph graph = GraphThatGathers();
  ASSERT_TRUE(ValidateStepGraph(graph).ok()) << ValidateStepGraph(graph);
  const Plan at_home = MakeFixedPlan(graph, {});
  EXPECT_TRUE(ValidatePlan(graph, at_home).ok()) << ValidatePlan(graph, at_home);
  EXPECT_FALSE(Has(at_home, graph.ops.back()));
  EXPECT_EQ(GatheredOf(at_home, 0), 1);

  for (const int32_t gathered : {2, 4}) {
    const Plan plan = MakeFixedPlan(graph, {.placements = {{{0, {{0, 1}, {2, 3}}, gathered}}, {}}});
    EXPECT_TRUE(ValidatePlan(graph, plan).ok()) << ValidatePlan(graph, plan);
    EXPECT_EQ(plan.numerics, "reassociating");
    ASSERT_EQ(plan.tasks.size(), at_home.tasks.size() + 1) << "gathers, and moves nothing";
    EXPECT_EQ(TaskSize(graph, plan, plan.tasks.back()), 100 * (gathered - 1));
    EXPECT_EQ(GatheredOf(plan, 0), gathered);
  }

  const auto refused = [&](const Placements& placements) {
    return std::string(CheckPlacements(graph, placements).message());
  };
  EXPECT_NE(refused({{{0, {{0, 1}, {2, 3}}, 3}}, {}}).find("3 shards of an expert, which must"),
            std::string::npos);
  EXPECT_NE(refused({{{0, {{0, 1}, {2, 3}}, 0}}, {}}).find("gathers 0 shards"), std::string::npos);
  EXPECT_NE(refused({{{0, {{2}, {0, 1, 3}}, 2}}, {}}).find("that are not at home"),
            std::string::npos);
  EXPECT_NE(refused({{{1, {{0, 1}, {2, 3}}, 2}}, {}}).find("layer 1 is not"), std::string::npos);
  EXPECT_NE(refused({{{0, {{0, 1}, {2, 3}}, 2}}, FollowLoad{}}).find("that are not at home"),
            std::string::npos);
  Plan stays = MakeFixedPlan(graph, {.placements = {{{0, {{0, 1}, {2, 3}}, 2}}, {}}});
  stays.placements = {};
  stays.numerics = "exact";
  EXPECT_NE(std::string(ValidatePlan(graph, stays).message()).find("has its own only"),
            std::string::npos);
}

TEST(PlanTest, OnlyAPlacementMovesExperts) {
  const StepGraph graph = GraphThatMoves();
  ASSERT_TRUE(ValidateStepGraph(graph).ok()) << ValidateStepGraph(graph);
  const Plan at_home = MakeFixedPlan(graph, {});
  EXPECT_TRUE(ValidatePlan(graph, at_home).ok()) << ValidatePlan(graph, at_home);
  EXPECT_FALSE(Has(at_home, graph.ops.back()));
  EXPECT_TRUE(PlacementOf(graph, at_home, 0).at_home());

  const Plan moved = MakeFixedPlan(graph, {.placements = {{{0, {{2}, {0, 1, 3}}}}, {}}});
  EXPECT_TRUE(ValidatePlan(graph, moved).ok()) << ValidatePlan(graph, moved);
  EXPECT_EQ(moved.numerics, "exact");
  ASSERT_EQ(moved.tasks.size(), at_home.tasks.size() + 1);
  EXPECT_EQ(TaskSize(graph, moved, moved.tasks.back()), 200);  // member 0 sends two, receives one
  EXPECT_EQ(PlacementOf(graph, moved, 0).experts_on(0)[0], 2);

  const Plan copied = MakeFixedPlan(graph, {.placements = {{{0, {{0, 1, 2}, {2, 3}}}}, {}}});
  EXPECT_TRUE(ValidatePlan(graph, copied).ok()) << ValidatePlan(graph, copied);
  EXPECT_EQ(copied.numerics, "reassociating");

  const auto refused = [&](const Plan& plan) {
    return std::string(ValidatePlan(graph, plan).message());
  };
  const auto broken = [&](const PlacementChoice& choice) {
    Plan plan = moved;
    plan.placements.layers = {choice};
    return refused(plan);
  };
  EXPECT_NE(broken({0, {{0, 1}, {2, 3}}}).find("are all at home"), std::string::npos);
  EXPECT_NE(broken({0, {{0, 1}, {3}}}).find("nobody works for expert 2"), std::string::npos);
  EXPECT_NE(broken({0, {{1, 0}, {2, 3}}}).find("in ascending order; 0 is not"), std::string::npos);
  EXPECT_NE(broken({0, {{0, 1, 2, 3, 4}, {}}}).find("4 is not"), std::string::npos);
  EXPECT_NE(broken({0, {{0, 1, 2, 3}}}).find("names 1 members"), std::string::npos);
  EXPECT_NE(broken({1, {{2}, {0, 1, 3}}}).find("layer 1 is not"), std::string::npos);
  EXPECT_NE(broken({0, {{0, 1, 2}, {2, 3}}}).find("must be 'reassociating'"), std::string::npos);
  Plan claims = moved;
  claims.numerics = "reassociating";
  EXPECT_NE(refused(claims).find("must be 'exact'"), std::string::npos);
  Plan stays = moved;
  stays.placements = {};
  EXPECT_NE(refused(stays).find("where all are at home"), std::string::npos);
}

TEST(PlanTest, APlanSaysWhereExpertsLive) {
  const StepGraph graph = GraphThatMoves();
  EXPECT_TRUE(HomesOf({}, 4, 0).as_configured());
  Placements swapped;
  swapped.homes = {{0, {0, 2, 1, 3}}};
  EXPECT_EQ(HomesOf(swapped.homes, 4, 0).home_of(2), 1);
  const Plan plan = MakeFixedPlan(graph, {.placements = swapped});
  EXPECT_TRUE(ValidatePlan(graph, plan).ok()) << ValidatePlan(graph, plan);
  EXPECT_EQ(plan.numerics, "reassociating");
  EXPECT_EQ(plan.tasks.size(), MakeFixedPlan(graph, {}).tasks.size()) << "steps move nothing";

  const auto refused = [&](const HomeChoice& choice) {
    Placements homes;
    homes.homes = {choice};
    return std::string(CheckPlacements(graph, homes).message());
  };
  EXPECT_NE(refused({0, {0, 1, 2, 3}}).find("where the configuration says"), std::string::npos);
  EXPECT_NE(refused({0, {0, 1, 1, 3}}).find("must live at one home"), std::string::npos);
  EXPECT_NE(refused({0, {1, 0, 2}}).find("has 4 homes, not 3"), std::string::npos);
  EXPECT_NE(refused({1, {1, 0, 2, 3}}).find("layer 1 is not"), std::string::npos);
}

TEST(PlanTest, ValidationRejectsEveryKindOfBrokenPlan) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::vector<Break> breaks = {
      {"fingerprint", [](Plan& p) { p.graph_fingerprint ^= 1; }},
      {"numerics", [](Plan& p) { p.numerics = "approximate"; }},
      {"names operation 7", [](Plan& p) { p.tasks[3].op = OpId{7}; }},
      {"names operation -1", [](Plan& p) { p.tasks[3].op = OpId{}; }},
      {"no task covers chunk 1 of dispatch", [](Plan& p) { p.tasks.erase(p.tasks.begin() + 2); }},
      {"no task covers chunk 0 of optimizer", [](Plan& p) { p.tasks.pop_back(); }},
      {"covers what another", [](Plan& p) { p.tasks.push_back(p.tasks[2]); }},
      {"covers what another", [](Plan& p) { p.tasks.push_back(p.tasks[11]); }},
      {"one of chunks 0 to 1", [](Plan& p) { p.tasks[2].chunk = 2; }},
      {"one of chunks 0 to 1", [](Plan& p) { p.tasks[2].chunk = -1; }},
      {"must be cut into 2", [](Plan& p) { p.tasks[2].num_chunks = 3; }},
      {"must be cut into 1", [](Plan& p) { p.tasks[0].num_chunks = 2; }},
      {"must be cut into 1", [](Plan& p) { p.degrees.clear(); }},
      {"cannot be cut into slices", [](Plan& p) { p.tasks[0].end = 4; }},
      {"no task covers element 600", [](Plan& p) { p.tasks[7].begin = 601; }},
      {"covers what another", [](Plan& p) { p.tasks[7].begin = 599; }},
      {"no task covers element 900", [](Plan& p) { p.tasks[7].end = 900; }},
      {"part of [0:1000]", [](Plan& p) { p.tasks[7].end = 1001; }},
      {"part of [0:1000]", [](Plan& p) { p.tasks[7].end = 600; }},
      {"part of [0:1000]", [](Plan& p) { p.tasks[3].begin = -1; }},
      {"not slices", [](Plan& p) { p.tasks[3].chunk = 1; }},
      {"is issued before", [](Plan& p) { std::swap(p.tasks[0], p.tasks[1]); }},
      {"is issued before", [](Plan& p) { std::swap(p.tasks[7], p.tasks[10]); }},
      {"is issued before", [](Plan& p) { std::swap(p.tasks[10], p.tasks[11]); }},
      {"degrees must be sorted", [](Plan& p) { p.degrees.push_back(p.degrees[0]); }},
      {"degree 0", [](Plan& p) { p.degrees[0].degree = 0; }},
      {"of layer 1", [](Plan& p) { p.degrees[0].layer = 1; }},
      {"a prediction", [&](Plan& p) { p.tasks[1].predicted_begin = nan; }},
      {"a prediction", [](Plan& p) { p.tasks[1].predicted_seconds = -1; }},
      {"predicted_seconds", [&](Plan& p) { p.predicted_seconds = nan; }},
      {"streams must be 1, 2 or 3", [](Plan& p) { p.streams = 4; }},
  };
  for (const Break& broken : breaks) {
    Plan plan = SmallPlan();
    broken.apply(plan);
    const absl::Status status = ValidatePlan(SmallGraph(), plan);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << broken.says;
    EXPECT_NE(std::string(status.message()).find(broken.says), std::string::npos)
        << status.message() << " should say: " << broken.says;
  }
}

}  // namespace
}  // namespace weft
