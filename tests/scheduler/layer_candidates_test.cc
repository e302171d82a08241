#include "scheduler/layer_candidates.h"

#include <gtest/gtest.h>

#include "scheduler/schedule.h"
#include "tests/scheduler/step_graph_builder.h"

namespace weft {
namespace {

// The fastest of all that are simulated, which FastestCandidate finds without simulating all.
LayerCandidate FastestOfAll(const std::vector<LayerCandidate>& candidates) {
  LayerCandidate best = candidates.front();
  for (const LayerCandidate& candidate : candidates) {
    if (Faster(candidate.seconds, best.seconds)) best = candidate;
  }
  return best;
}

TEST(LayerCandidatesTest, BoundsRuleOutNoFastestDegree) {
  for (const double expert_flops : {1e7, 1e9, 2e10}) {
    for (const int esp : {1, 2}) {
      TestModel test;
      test.layers = 1;
      test.esp = esp;
      test.expert_flops = expert_flops;
      const StepGraph graph = BuildTestGraph(test);
      const auto costs = BalancedCosts();
      const auto made = StepModel::Make(graph, *costs, {1, 2, 3, 4, 6, 8, 12, 16});
      ASSERT_TRUE(made.ok()) << made.status();
      const StepModel& model = **made;
      for (size_t slot = 0; slot < model.slots().size(); ++slot) {
        for (const AllToAllAlgorithm algorithm :
             {AllToAllAlgorithm::kDirect, AllToAllAlgorithm::kPipe}) {
          for (const LayerOrder order :
               {LayerOrder::kSequential, LayerOrder::kOneCommunicationStream,
                LayerOrder::kGathersFirst, LayerOrder::kReadyFirst}) {
            for (const double gamma : {0.0, 1e-3, 1e-2, 1.0}) {
              const LayerCandidate all =
                  FastestOfAll(CandidatesOf(model, slot, algorithm, order, gamma));
              const LayerCandidate found = FastestCandidate(model, slot, algorithm, order, gamma);
              EXPECT_EQ(found.degree, all.degree);
              EXPECT_EQ(found.seconds, all.seconds);
            }
          }
        }
      }
    }
  }
}

// Stages on random streams, two of them beside each other or not.
TEST(LayerCandidatesTest, SecondsAloneAreThoseOfTheSimulation) {
  const CounterRng random(2, "layer_candidates");
  uint64_t draw = 0;
  for (int i = 0; i < 5'000; ++i) {
    std::vector<Stage> stages;
    for (uint64_t s = 0, n = 1 + random.Bits(draw++) % 7; s < n; ++s) {
      const auto stream = static_cast<StreamKind>(random.Bits(draw++) % kNumStreams);
      const bool beside = s > 1 && !stages.back().beside && random.Bits(draw++) % 4 == 0;
      const OpKind kind =
          stream == StreamKind::kIntra ? OpKind::kEspReduceScatter : OpKind::kExpert;
      stages.push_back({kind, stream, random.Uniform(draw++), beside});
    }
    const double gamma = random.Bits(draw++) % 2 == 0 ? 0 : random.Uniform(draw++);
    const int32_t r = 1 + static_cast<int32_t>(random.Bits(draw++) % 20);
    for (const LayerOrder order : {LayerOrder::kSequential, LayerOrder::kOneCommunicationStream,
                                   LayerOrder::kGathersFirst, LayerOrder::kReadyFirst}) {
      ASSERT_EQ(LayerSeconds(stages, gamma, r, order),
                SimulateLayer(stages, gamma, r, order).seconds)
          << i << " " << static_cast<int>(order);
    }
  }
}

}  // namespace
}  // namespace weft
