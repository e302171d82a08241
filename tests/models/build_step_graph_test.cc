#include "models/build_step_graph.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "graph/fixed_plan.h"
#include "models/op_sizes.h"
#include "models/parameters.h"

namespace weft {
namespace {

struct World {
  Topology topology;
  Layout layout;
};

// One node, several nodes; experts across, inside and beside the nodes.
std::vector<World> Worlds() {
  return {{{1, 1}, {1, 1, 1}},    {{2, 2}, {2, 1, 1}},    {{2, 2}, {1, 2, 1}},
          {{2, 2}, {1, 1, 2}},    {{2, 1}, {1, 2, 1}},    {{4, 2}, {1, 2, 2}},
          {{4, 2}, {2, 1, 2}},    {{4, 2}, {2, 2, 1}},    {{4, 2}, {1, 4, 1}},
          {{4, 4}, {1, 2, 2}},    {{8, 4}, {2, 2, 2}},    {{8, 2}, {2, 2, 2}},
          {{6, 3}, {1, 2, 3}},    {{3, 1}, {1, 3, 1}},    {{2, 2}, {1, 2, 1, 2}},
          {{4, 4}, {1, 2, 2, 2}}, {{4, 2}, {2, 2, 1, 2}}, {{8, 4}, {2, 2, 2, 2}}};
}

ModelSpec SpecOf(Backbone backbone, int32_t every) {
  ModelSpec spec;
  spec.backbone = backbone;
  spec.num_layers = 3;
  spec.num_kv_heads = backbone == Backbone::kGpt2 ? spec.num_heads : 2;
  spec.moe.every = every;
  spec.moe.num_experts = 6;
  return spec;
}

BatchShape BatchOf(const Layout& layout, int32_t micro_batches) {
  return {2, 16, micro_batches, int64_t{2} * micro_batches * layout.world_size()};
}

struct Case {
  Backbone backbone;
  int32_t every;
  int32_t micro_batches;
  int32_t shared_experts = 0;
};

class BuildStepGraphTest : public testing::TestWithParam<Case> {
 protected:
  StepGraph Build(const World& world, StepKind kind) const {
    return BuildStepGraph(spec(), world.topology, world.layout,
                          BatchOf(world.layout, GetParam().micro_batches), kind);
  }
  ModelSpec spec() const {
    ModelSpec spec = SpecOf(GetParam().backbone, GetParam().every);
    spec.moe.shared_experts = GetParam().shared_experts;
    return spec;
  }
};

std::string NameOf(const World& world) {
  return absl::StrCat(world.topology.world_size, " ranks by ", world.topology.ranks_per_node, ", ",
                      world.layout.edp, "x", world.layout.ep, "x", world.layout.esp, ", mp ",
                      world.layout.mp);
}

TEST_P(BuildStepGraphTest, IsValidAndCanBeCut) {
  for (const World& world : Worlds()) {
    SCOPED_TRACE(NameOf(world));
    ASSERT_TRUE(ValidateLayout(world.topology, world.layout, spec().moe.num_experts).ok());
    for (const StepKind kind : {StepKind::kTraining, StepKind::kForward}) {
      const StepGraph graph = Build(world, kind);
      ASSERT_EQ(ValidateStepGraph(graph).message(), "");
      EXPECT_EQ(ValidatePlan(graph, MakeFixedPlan(graph, {})).message(), "");
      EXPECT_EQ(
          ValidatePlan(graph, MakeFixedPlan(graph, {.forward = 3, .backward = 2, .slices = 4}))
              .message(),
          "");
    }
  }
}

TEST_P(BuildStepGraphTest, GroupsOfOneRankCommunicateNothing) {
  for (const World& world : Worlds()) {
    SCOPED_TRACE(NameOf(world));
    for (const Op& op : Build(world, StepKind::kTraining).ops) {
      if (op.key.group == GroupKind::kNone) {
        EXPECT_EQ(op.stream, StreamKind::kCompute);
        continue;
      }
      const auto group = GroupOf(world.topology, world.layout, op.key.group, RankId{0});
      EXPECT_GT(group.size(), 1u);
      EXPECT_EQ(op.key.group_size, static_cast<int32_t>(group.size()));
      EXPECT_EQ(op.key.link, LinkOf(world.topology, group));
      // A communicator belongs to one stream: the one of its link.
      EXPECT_EQ(op.stream,
                op.key.link == LinkClass::kInterNode ? StreamKind::kInter : StreamKind::kIntra);
    }
  }
}

TEST_P(BuildStepGraphTest, ForwardStepHasNoBackward) {
  for (const World& world : Worlds()) {
    SCOPED_TRACE(NameOf(world));
    const StepGraph graph = Build(world, StepKind::kForward);
    EXPECT_EQ(graph.micro_batches, 1);
    for (const Op& op : graph.ops)
      EXPECT_NE(op.direction(), Direction::kBackward) << OpName(graph, op.id);
    EXPECT_EQ(graph.ops.back().key.kind, OpKind::kStepReduction);
  }
}

TEST_P(BuildStepGraphTest, OptimizerWaitsForEverything) {
  for (const World& world : Worlds()) {
    SCOPED_TRACE(NameOf(world));
    const StepGraph graph = Build(world, StepKind::kTraining);
    ASSERT_EQ(graph.ops.back().key.kind, OpKind::kOptimizer);
    std::set<OpId> awaited = {graph.ops.back().id};
    for (size_t i = graph.ops.size(); i-- > 0;) {
      if (!awaited.contains(graph.ops[i].id)) continue;
      awaited.insert(graph.ops[i].needs.begin(), graph.ops[i].needs.end());
    }
    for (const Op& op : graph.ops) EXPECT_TRUE(awaited.contains(op.id)) << OpName(graph, op.id);
  }
}

// Each dense bucket once per step through every stage that has more than one rank; expert buckets
// over their copies.
TEST_P(BuildStepGraphTest, EveryGradientIsReducedOnce) {
  for (const World& world : Worlds()) {
    SCOPED_TRACE(NameOf(world));
    const ParameterCatalog catalog = MakeParameterCatalog(spec(), world.layout, RankId{0});
    std::map<std::pair<OpKind, int32_t>, int> seen, seen_of_heads;
    for (const Op& op : Build(world, StepKind::kTraining).ops) {
      const OpKind kind = op.key.kind;
      if (kind == OpKind::kExpertGradAllReduce) {
        ++seen[{kind, op.layer}];
        EXPECT_EQ(op.cut, Cut::kSlices);
        int64_t most = 0;
        for (int32_t r = 0; r < world.layout.world_size(); ++r) {
          const ParameterCatalog of = MakeParameterCatalog(spec(), world.layout, RankId{r});
          most = std::max(most, of.experts[static_cast<size_t>(op.layer)].elements);
        }
        EXPECT_EQ(op.elements, most);
      }
      if (kind != OpKind::kGradReduceScatter && kind != OpKind::kGradAllReduce &&
          kind != OpKind::kGradAllGather)
        continue;
      EXPECT_EQ(op.cut, Cut::kSlices);
      if (op.heads) {
        ++seen_of_heads[{kind, op.layer}];
        EXPECT_EQ(op.elements, catalog.heads[static_cast<size_t>(op.layer)].elements);
        EXPECT_EQ(op.key.group,
                  kind == OpKind::kGradAllReduce ? GroupKind::kInter : GroupKind::kMpPeers);
        continue;
      }
      ++seen[{kind, op.layer}];
      EXPECT_EQ(op.elements, op.layer < 0 ? catalog.outer.elements
                                          : catalog.dense[static_cast<size_t>(op.layer)].elements);
    }
    const bool inside = world.topology.ranks_per_node > 1;
    const bool between = world.topology.num_nodes() > 1;
    for (int32_t layer = -1; layer < spec().num_layers; ++layer) {
      EXPECT_EQ((seen[{OpKind::kGradReduceScatter, layer}]), inside ? 1 : 0) << layer;
      EXPECT_EQ((seen[{OpKind::kGradAllReduce, layer}]), between ? 1 : 0) << layer;
      EXPECT_EQ((seen[{OpKind::kGradAllGather, layer}]), inside ? 1 : 0) << layer;
      const bool copied = layer >= 0 && spec().is_moe_layer(layer) && world.layout.edp > 1;
      EXPECT_EQ((seen[{OpKind::kExpertGradAllReduce, layer}]), copied ? 1 : 0) << layer;
      const bool shared = layer >= 0 && world.layout.mp > 1;
      const bool peers = shared && world.layout.mp < world.topology.ranks_per_node;
      EXPECT_EQ((seen_of_heads[{OpKind::kGradReduceScatter, layer}]), peers ? 1 : 0) << layer;
      EXPECT_EQ((seen_of_heads[{OpKind::kGradAllReduce, layer}]), shared && between ? 1 : 0);
      EXPECT_EQ((seen_of_heads[{OpKind::kGradAllGather, layer}]), peers ? 1 : 0) << layer;
    }
  }
}

// Shared experts need the router alone, forward, and what returns a layer's gradient, backward: no
// row of another rank. Their weights' gradients are in before the dense ones are reduced.
TEST(SharedExpertsTest, StandBesideThePipeline) {
  ModelSpec spec = SpecOf(Backbone::kMixtral, 1);
  spec.moe.shared_experts = 2;
  const BatchShape batch = BatchOf({1, 4, 1}, 1);
  const StepGraph graph = BuildStepGraph(spec, {4, 2}, {1, 4, 1}, batch, StepKind::kTraining);
  const auto needs = [&](const Op& op, OpKind kind) {
    return std::any_of(op.needs.begin(), op.needs.end(),
                       [&](OpId need) { return graph.op(need).key.kind == kind; });
  };
  int shared = 0;
  for (const Op& op : graph.ops) {
    const bool forward = op.direction() == Direction::kForward;
    const OpKind kind = op.key.kind;
    if (kind == OpKind::kSharedExpert) {
      ++shared;
      EXPECT_EQ(op.stream, StreamKind::kCompute);
      EXPECT_EQ(op.size, SharedExpertFlops(spec, batch.tokens()));
      EXPECT_EQ(op.needs.size(), 1U);
      EXPECT_TRUE(needs(op, forward ? OpKind::kRouter : OpKind::kUnpermute));
    } else if (kind == (forward ? OpKind::kUnpermute : OpKind::kRouter)) {
      EXPECT_TRUE(needs(op, OpKind::kSharedExpert)) << OpName(graph, op.id);
    } else if (kind == OpKind::kGradReduceScatter && op.layer >= 0) {
      EXPECT_TRUE(needs(op, OpKind::kSharedExpertWgrad)) << OpName(graph, op.id);
    }
  }
  EXPECT_EQ(shared, 2 * spec.num_layers);
}

// Around every attention, both ways: its input to all who share its heads, its partial sums back.
TEST_P(BuildStepGraphTest, SharedHeadsAreGatheredForAndScattered) {
  for (const World& world : Worlds()) {
    SCOPED_TRACE(NameOf(world));
    const StepGraph graph = Build(world, StepKind::kTraining);
    const int32_t mp = world.layout.mp;
    const BatchShape batch = BatchOf(world.layout, GetParam().micro_batches);
    int around = 0;
    for (const Op& op : graph.ops) {
      const bool gather = op.key.kind == OpKind::kMpAllGather;
      if (!gather && op.key.kind != OpKind::kMpReduceScatter) continue;
      ++around;
      EXPECT_EQ(op.key.group, GroupKind::kMp);
      EXPECT_EQ(op.stream, StreamKind::kIntra);
      // The bytes of docs/collectives.md.
      EXPECT_EQ(op.size, 4.0 * (mp - 1) * static_cast<double>(batch.tokens()) * spec().hidden_size);
      const Op& attention = graph.op(OpId{op.id.value + (gather ? 1 : -1)});
      ASSERT_EQ(attention.key.kind, OpKind::kAttention);
      EXPECT_EQ(attention.direction(), op.direction());
      EXPECT_EQ(attention.cut, op.cut);
      EXPECT_EQ(gather ? attention.needs : op.needs,
                std::vector<OpId>{gather ? op.id : attention.id});
    }
    EXPECT_EQ(around, mp == 1 ? 0 : 4 * spec().num_layers * graph.micro_batches);
  }
}

TEST_P(BuildStepGraphTest, FingerprintKnowsModelLayoutAndBatch) {
  std::set<uint64_t> seen;
  for (const World& world : Worlds()) {
    // Where no layer has experts, worlds that differ only in how experts are spread have the same
    // work to do.
    if (spec().moe.every > spec().num_layers) break;
    EXPECT_TRUE(seen.insert(FingerprintOf(Build(world, StepKind::kTraining))).second)
        << NameOf(world);
  }
  const World alone = Worlds()[0];
  seen.insert(FingerprintOf(Build(alone, StepKind::kTraining)));
  EXPECT_TRUE(seen.insert(FingerprintOf(Build(alone, StepKind::kForward))).second);
  ModelSpec wider = spec();
  wider.ffn_hidden_size *= 2;
  const BatchShape batch = BatchOf(alone.layout, GetParam().micro_batches);
  EXPECT_TRUE(seen.insert(FingerprintOf(BuildStepGraph(wider, alone.topology, alone.layout, batch,
                                                       StepKind::kTraining)))
                  .second);
  BatchShape longer = batch;
  longer.length *= 2;
  EXPECT_TRUE(seen.insert(FingerprintOf(BuildStepGraph(spec(), alone.topology, alone.layout, longer,
                                                       StepKind::kTraining)))
                  .second);
  EXPECT_FALSE(seen.insert(FingerprintOf(BuildStepGraph(spec(), alone.topology, alone.layout, batch,
                                                        StepKind::kTraining)))
                   .second);
}

INSTANTIATE_TEST_SUITE_P(
    Models, BuildStepGraphTest,
    testing::Values(Case{Backbone::kGpt2, 1, 1}, Case{Backbone::kGpt2, 2, 2},
                    Case{Backbone::kMixtral, 1, 2}, Case{Backbone::kMixtral, 2, 1},
                    Case{Backbone::kMixtral, 2, 2, 2},
                    Case{Backbone::kMixtral, 4, 3}),  // every 4 of 3 layers: none has experts
    [](const auto& test) {
      return absl::StrCat(test.param.backbone == Backbone::kGpt2 ? "Gpt2" : "Mixtral", "Every",
                          test.param.every, "MicroBatches", test.param.micro_batches,
                          test.param.shared_experts > 0 ? "Shared" : "");
    });

// Every way of doing an all-to-all is in the graph where the EP group spans nodes, none but direct
// where it does not.
TEST(AllToAllsTest, AreThereInEveryWayWhereEpSpansNodes) {
  const ModelSpec spec = SpecOf(Backbone::kMixtral, 1);
  const World across = {{8, 4}, {1, 4, 2}};
  const StepGraph graph = BuildStepGraph(spec, across.topology, across.layout,
                                         BatchOf(across.layout, 1), StepKind::kTraining);
  std::set<std::string> names;
  for (const Op& op : graph.ops) names.insert(OpName(graph, op.id));
  for (const char* name : {"counts_node_gather.fwd.l1", "dispatch.fwd.l1", "dispatch.fwd.l1.pipe0",
                           "dispatch.fwd.l1.pipe1", "dispatch.fwd.l1.2dh0", "dispatch.fwd.l1.2dh1",
                           "dispatch.fwd.l1.1dh0", "dispatch.fwd.l1.1dh1", "dispatch.fwd.l1.1dh2",
                           "combine.bwd.l1", "combine.bwd.l1.pipe1"}) {
    EXPECT_TRUE(names.contains(name)) << name;
  }
  for (const AllToAllAlgorithm algorithm : kAllToAllAlgorithms) {
    const Plan plan = MakeFixedPlan(graph, {.forward = 2, .all_to_all = algorithm});
    EXPECT_EQ(ValidatePlan(graph, plan).message(), "") << Name(algorithm);
  }
  for (const World& world : Worlds()) {
    if (world.layout.ep == 4) continue;  // the one world above with two members a node
    const StepGraph other = BuildStepGraph(spec, world.topology, world.layout,
                                           BatchOf(world.layout, 1), StepKind::kTraining);
    for (const Op& op : other.ops) {
      EXPECT_EQ(op.algorithms, kAnyAlgorithm) << OpName(other, op.id);
    }
  }
}

}  // namespace
}  // namespace weft
