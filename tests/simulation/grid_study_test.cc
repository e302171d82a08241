#include "simulation/grid_study.h"

#include <gtest/gtest.h>

#include "scheduler/closed_forms.h"
#include "scheduler/planner.h"
#include "tests/simulation/testbed_a.h"

namespace weft {
namespace {

TEST(FsmoeGridTest, Has1458LayersOfWhich486Differ) {
  const std::vector<GridLayer> grid = FsmoeGrid({512, 1024, 2048});
  EXPECT_EQ(grid.size(), 486u);
  int32_t layers = 0;
  for (const GridLayer& layer : grid) layers += layer.copies;
  EXPECT_EQ(layers, 1458);
}

class GridStudyTest : public testing::Test {
 protected:
  GridStudyTest() {
    const std::vector<GridLayer> all = FsmoeGrid({512, 1024, 2048});
    for (size_t i = 0; i < all.size(); i += 61) grid_.push_back(all[i]);
    options_.policies = PolicyNames();
    for (int32_t r = 1; r <= 16; ++r) options_.degrees.push_back(r);
    options_.search_tasks = 20'000;
  }

  std::vector<GridLayer> grid_;
  GridStudyOptions options_;
};

TEST_F(GridStudyTest, WeftIsNeverBehindAndNobodyBeatsTheBound) {
  for (const int32_t layers : {1, 3}) {
    options_.layers = layers;
    const auto results = StudyGrid(grid_, TestbedA(), options_);
    ASSERT_TRUE(results.ok()) << results.status();
    ASSERT_EQ(results->size(), PolicyNames().size());
    EXPECT_DOUBLE_EQ(results->at("tutel").mean_speedup, 1);
    for (const auto& [policy, result] : *results) {
      EXPECT_LE(result.mean_speedup, results->at("weft").mean_speedup * (1 + 1e-9)) << policy;
      EXPECT_GE(result.mean_over_bound, 1 - 1e-9) << policy;
    }
  }
}

TEST_F(GridStudyTest, ThreadsChangeNothing) {
  const auto one = StudyGrid(grid_, TestbedA(), options_);
  options_.threads = 2;
  const auto two = StudyGrid(grid_, TestbedA(), options_);
  ASSERT_TRUE(one.ok() && two.ok());
  for (const auto& [policy, result] : *one) {
    EXPECT_EQ(result.mean_speedup, two->at(policy).mean_speedup) << policy;
    EXPECT_EQ(result.mean_over_bound, two->at(policy).mean_over_bound) << policy;
  }
}

// One layer alone: forward and backward at the best degree of each, in closed form.
TEST_F(GridStudyTest, OneLayerOfTutelIsTheClosedForm) {
  const Cluster cluster = TestbedA();
  for (const GridLayer& layer : grid_) {
    const double rows =
        layer.model.rows_per_token * static_cast<double>(layer.model.batch * layer.model.length);
    const double gathered = rows * static_cast<double>(layer.model.width);
    const double macs = gathered * static_cast<double>(layer.model.expert_width) / 8;
    const double products = layer.model.swiglu ? 3 : 2;
    double expected = cluster.all_reduce->per_element.alpha +
                      cluster.all_reduce->per_element.beta *
                          static_cast<double>(DenseGradientElements(layer.model, cluster.topology));
    for (const int passes : {1, 2}) {
      double best = 0;
      for (int32_t r = 1; r <= 16; ++r) {
        const LayerTimes times{
            cluster.all_to_all->per_element.alpha +
                cluster.all_to_all->per_element.beta * gathered / 8 / r,
            cluster.all_gather->per_element.alpha +
                cluster.all_gather->per_element.beta * gathered / r,
            passes * products * (cluster.matmul->alpha + cluster.matmul->beta * macs / r),
            cluster.reduce_scatter->per_element.alpha +
                cluster.reduce_scatter->per_element.beta * gathered / r,
            0};
        const double seconds = OneStreamSeconds(times, r);
        if (best == 0 || seconds < best) best = seconds;
      }
      expected += best;
    }
    const StepGraph graph = BuildAlignedGraph(layer.model, cluster.topology);
    const ClusterCostModel costs(cluster, ProductsOf(layer.model));
    PlanRequest request;
    request.graph = &graph;
    request.costs = &costs;
    request.policy = "tutel";
    request.degrees = options_.degrees;
    const auto plan = MakePlan(request);
    ASSERT_TRUE(plan.ok()) << plan.status();
    EXPECT_NEAR(plan->predicted_seconds, expected, 1e-6 * expected);
  }
}

TEST_F(GridStudyTest, AnUnknownPolicyIsRefused) {
  options_.policies = {"fastest"};
  EXPECT_EQ(StudyGrid(grid_, TestbedA(), options_).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace weft
