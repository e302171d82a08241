#include "graph/step_graph.h"

#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <set>

#include "tests/graph/small_graph.h"

namespace weft {
namespace {

TEST(StepGraphTest, NamesSayWhatWhereAndWhichMicroBatch) {
  StepGraph graph = SmallGraph();
  EXPECT_EQ(OpName(graph, OpId{1}), "dispatch.bwd.l0");
  graph.micro_batches = 2;
  graph.ops[1].micro_batch = 1;
  EXPECT_EQ(OpName(graph, OpId{1}), "dispatch.bwd.l0.m1");
  graph.ops[6].key.direction = Direction::kNone;
  graph.ops[6].layer = -1;
  graph.micro_batches = 1;
  EXPECT_EQ(OpName(graph, OpId{6}), "optimizer");
}

TEST(StepGraphTest, FingerprintSeesEveryFieldButSizes) {
  const std::vector<std::function<void(StepGraph&)>> changes = {
      [](StepGraph&) {},
      [](StepGraph& g) { g.num_layers = 2; },
      [](StepGraph& g) { g.micro_batches = 2; },
      [](StepGraph& g) { g.sequences = 2; },
      [](StepGraph& g) { g.block_pieces = 2; },
      [](StepGraph& g) { g.experts = 2; },
      [](StepGraph& g) { g.ep = 2; },
      [](StepGraph& g) { g.ops[1].away = true; },
      [](StepGraph& g) { g.ops.pop_back(); },
      [](StepGraph& g) { g.ops[1].key.kind = OpKind::kCombine; },
      [](StepGraph& g) { g.ops[1].key.direction = Direction::kForward; },
      [](StepGraph& g) { g.ops[1].key.group = GroupKind::kEp; },
      [](StepGraph& g) { g.ops[1].key.group_size = 2; },
      [](StepGraph& g) { g.ops[1].key.link = LinkClass::kIntraNode; },
      [](StepGraph& g) { g.ops[1].key.dtype = DType::kBF16; },
      [](StepGraph& g) { g.ops[1].key.shape_class = 9; },
      [](StepGraph& g) { g.ops[1].stream = StreamKind::kIntra; },
      [](StepGraph& g) { g.ops[1].layer = -1; },
      [](StepGraph& g) { g.ops[1].micro_batch = 1; },
      [](StepGraph& g) { g.ops[1].cut = Cut::kWhole; },
      [](StepGraph& g) { g.ops[4].elements += 1; },
      [](StepGraph& g) { g.ops[1].needs.clear(); },
  };
  std::set<uint64_t> digests;
  for (const auto& change : changes) {
    StepGraph graph = SmallGraph();
    change(graph);
    digests.insert(FingerprintOf(graph));
  }
  EXPECT_EQ(digests.size(), changes.size());
  StepGraph loaded = SmallGraph();
  loaded.ops[1].size *= 2;
  EXPECT_EQ(FingerprintOf(loaded), FingerprintOf(SmallGraph()));
}

TEST(StepGraphTest, ValidationNamesTheBrokenOperation) {
  EXPECT_TRUE(ValidateStepGraph(SmallGraph()).ok());
  const std::vector<std::function<void(StepGraph&)>> breaks = {
      [](StepGraph& g) { g.ops[1].id = OpId{5}; },
      [](StepGraph& g) { g.ops[1].needs = {OpId{1}}; },
      [](StepGraph& g) { g.ops[1].needs = {OpId{}}; },
      [](StepGraph& g) {
        g.ops[6].needs = {OpId{5}, OpId{3}};
      },
      [](StepGraph& g) {
        g.ops[6].needs = {OpId{3}, OpId{3}};
      },
      [](StepGraph& g) { g.ops[1].layer = 1; },
      [](StepGraph& g) { g.ops[1].layer = -1; },
      [](StepGraph& g) { g.ops[1].key.direction = Direction::kNone; },
      [](StepGraph& g) { g.ops[1].micro_batch = 1; },
      [](StepGraph& g) { g.ops[1].size = -1; },
      [](StepGraph& g) { g.ops[1].size = std::numeric_limits<double>::quiet_NaN(); },
      [](StepGraph& g) { g.ops[1].key.group_size = 0; },
      [](StepGraph& g) { g.ops[4].elements = 0; },
      [](StepGraph& g) { g.ops[3].key.kind = OpKind::kDispatch; },  // two of one name
      [](StepGraph& g) { g.micro_batches = 0; },
  };
  for (size_t i = 0; i < breaks.size(); ++i) {
    StepGraph graph = SmallGraph();
    breaks[i](graph);
    EXPECT_EQ(ValidateStepGraph(graph).code(), absl::StatusCode::kInvalidArgument) << i;
  }
}

}  // namespace
}  // namespace weft
