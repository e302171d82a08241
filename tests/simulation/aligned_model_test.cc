#include "simulation/aligned_model.h"

#include <gtest/gtest.h>

#include <map>

#include "scheduler/layer_candidates.h"
#include "scheduler/simulate.h"
#include "tests/simulation/testbed_a.h"

namespace weft {
namespace {

AlignedModel GptLayer() {
  AlignedModel model;
  model.batch = 4;
  model.length = 1024;
  model.width = 1600;
  model.expert_width = 6400;
  model.rows_per_token = 2.4;
  return model;
}

AlignedModel MixtralLayer() {
  AlignedModel model = GptLayer();
  model.width = 4096;
  model.expert_width = 14336;
  model.swiglu = true;
  return model;
}

// FSMoE's chunk times on Testbed A, in milliseconds, and the gradient's.
struct Golden {
  AlignedModel model;
  Direction direction;
  int32_t r;
  double a, g, e, s, gamma;
};

TEST(AlignedModelTest, ChunkTimesAreThePapers) {
  const Direction fwd = Direction::kForward;
  const Direction bwd = Direction::kBackward;
  const std::vector<Golden> table = {{GptLayer(), fwd, 4, 1.428, 1.261, 0.661, 1.267, 6.849},
                                     {GptLayer(), bwd, 2, 2.568, 2.184, 2.476, 2.139, 6.849},
                                     {MixtralLayer(), fwd, 6, 2.234, 1.913, 3.433, 1.883, 26.470},
                                     {MixtralLayer(), bwd, 4, 3.207, 2.701, 10.170, 2.627, 26.470}};
  const Cluster cluster = TestbedA();
  for (const Golden& row : table) {
    const StepGraph graph = BuildAlignedGraph(row.model, cluster.topology);
    const ClusterCostModel costs(cluster, ProductsOf(row.model));
    const auto model = StepModel::Make(graph, costs, {1, 2, 3, 4, 5, 6});
    ASSERT_TRUE(model.ok()) << model.status();
    size_t slot = 0;
    while ((*model)->slots()[slot].direction != row.direction) ++slot;
    const LayerTimes times = TimesOf(**model, slot, AllToAllAlgorithm::kDirect, row.r);
    EXPECT_NEAR(times.a * 1e3, row.a, 6e-4);
    EXPECT_NEAR(times.g * 1e3, row.g, 6e-4);
    EXPECT_NEAR(times.e * 1e3, row.e, 6e-4);
    EXPECT_NEAR(times.s * 1e3, row.s, 6e-4);
    ASSERT_EQ((*model)->chains().size(), 1u);
    const GradientChain& chain = (*model)->chains()[0];
    EXPECT_NEAR((*model)->SliceSeconds(chain.ops[0], chain.elements) * 1e3, row.gamma, 6e-4);
  }
}

TEST(AlignedModelTest, SplittingWeightGradientsMovesTheirWorkAndAddsNone) {
  AlignedModel model = MixtralLayer();
  model.layers = 2;
  model.blocks = true;
  std::map<bool, std::map<StreamKind, double>> busy;
  const Cluster cluster = TestbedA();
  for (const bool split : {false, true}) {
    model.split_weight_gradients = split;
    const StepGraph graph = BuildAlignedGraph(model, cluster.topology);
    ASSERT_TRUE(ValidateStepGraph(graph).ok()) << ValidateStepGraph(graph);
    const ClusterCostModel costs(cluster, ProductsOf(model));
    for (const Op& op : graph.ops) {
      busy[split][op.stream] += costs.Estimate(op.key, op.size).seconds;
    }
  }
  for (const auto& [stream, seconds] : busy[false]) {
    EXPECT_NEAR(busy[true][stream], seconds, 1e-9 * seconds) << Name(stream);
  }
}

TEST(AlignedModelTest, OneNodeAndOneRankLeaveOutWhatTheyDoNotNeed) {
  AlignedModel model = GptLayer();
  model.blocks = true;
  for (const Topology topology : {Topology{4, 4}, Topology{4, 1}, Topology{1, 1}}) {
    const StepGraph graph = BuildAlignedGraph(model, topology);
    ASSERT_TRUE(ValidateStepGraph(graph).ok()) << ValidateStepGraph(graph);
    for (const Op& op : graph.ops) {
      if (op.stream != StreamKind::kCompute) {
        EXPECT_GT(op.key.group_size, 1) << OpName(graph, op.id);
      }
    }
  }
}

}  // namespace
}  // namespace weft
