#include "bench/gpu/expert_layer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

// What the benchmark of a device measures is an MoE layer.

namespace weft {
namespace {

constexpr ExpertLayerSizes kSizes = {
    .tokens = 7, .hidden = 6, .width = 5, .experts = 4, .top_k = 2};

TEST(ExpertLayerTest, TokensChooseDifferentExperts) {
  const ExpertLayerSizes sizes = {
      .tokens = 1000, .hidden = 1, .width = 1, .experts = 8, .top_k = 3};
  for (const ExpertLoad load : {ExpertLoad::kBalanced, ExpertLoad::kRandom}) {
    const std::vector<int32_t> experts = ChooseExperts(sizes, load);
    ASSERT_EQ(experts.size(), 3000u);
    std::map<int32_t, int> rows;
    for (size_t first = 0; first < experts.size(); first += 3) {
      EXPECT_EQ(std::set<int32_t>(experts.begin() + static_cast<std::ptrdiff_t>(first),
                                  experts.begin() + static_cast<std::ptrdiff_t>(first) + 3)
                    .size(),
                3u);
      for (size_t j = 0; j < 3; ++j) ++rows[experts[first + j]];
    }
    ASSERT_EQ(rows.size(), 8u);
    const bool even = std::all_of(rows.begin(), rows.end(),
                                  [](const auto& entry) { return entry.second == 375; });
    EXPECT_EQ(even, load == ExpertLoad::kBalanced);
  }
}

class ExpertLayerGradientTest : public testing::Test {
 protected:
  // Sum of y * dy.
  double Loss() {
    layer_.Forward();
    double loss = 0;
    for (int64_t i = 0; i < layer_.y.elements(); ++i)
      loss += static_cast<double>(layer_.y.as<float>()[i]) * layer_.dy.as<float>()[i];
    return loss;
  }

  // Every element of a gradient is the change of the loss with that of the value.
  void Check(const char* name, const TensorView& value, const TensorView& gradient) {
    constexpr float kStep = 0.01f;
    for (int64_t i = 0; i < value.elements(); ++i) {
      float& number = value.as<float>()[i];
      const float before = number;
      number = before + kStep;
      const double above = Loss();
      number = before - kStep;
      const double below = Loss();
      number = before;
      const double expected = (above - below) / (2.0 * kStep);
      EXPECT_NEAR(gradient.as<float>()[i], expected, 2e-3 * (1 + std::abs(expected)))
          << name << " " << i;
    }
  }

  std::unique_ptr<Kernels> kernels_ = MakeReferenceKernels();
  ExpertLayer layer_{*kernels_, kSizes, ExpertLoad::kRandom, DType::kF32};
};

TEST_F(ExpertLayerGradientTest, TheForwardIsTheWeightedSumOfTheChosenExperts) {
  const std::vector<int32_t> experts = ChooseExperts(kSizes, ExpertLoad::kRandom);
  layer_.Forward();
  for (int64_t token = 0; token < kSizes.tokens; ++token) {
    std::vector<double> expected(static_cast<size_t>(kSizes.hidden), 0);
    const float* const x = layer_.x.as<float>() + token * kSizes.hidden;
    for (int64_t j = 0; j < kSizes.top_k; ++j) {
      const auto choice = static_cast<size_t>(token * kSizes.top_k + j);
      const auto expert = static_cast<size_t>(experts[choice]);
      const float* const gate_up = layer_.gate_up[expert].as<float>();
      const float* const down = layer_.down[expert].as<float>();
      for (int64_t w = 0; w < kSizes.width; ++w) {
        double gate = 0, up = 0;
        for (int64_t h = 0; h < kSizes.hidden; ++h) {
          gate += static_cast<double>(x[h]) * gate_up[w * kSizes.hidden + h];
          up += static_cast<double>(x[h]) * gate_up[(kSizes.width + w) * kSizes.hidden + h];
        }
        const double active = gate / (1 + std::exp(-gate)) * up;
        for (int64_t h = 0; h < kSizes.hidden; ++h)
          expected[static_cast<size_t>(h)] +=
              static_cast<double>(layer_.weights.as<float>()[choice]) * active *
              down[h * kSizes.width + w];
      }
    }
    for (int64_t h = 0; h < kSizes.hidden; ++h) {
      const double sum = expected[static_cast<size_t>(h)];
      EXPECT_NEAR(layer_.y.as<float>()[token * kSizes.hidden + h], sum, 1e-6 * (1 + std::abs(sum)));
    }
  }
}

TEST_F(ExpertLayerGradientTest, TheBackwardIsItsGradient) {
  // Larger than those of a model, so that gradients are well above what differences round.
  for (const std::vector<TensorView>* weights : {&layer_.gate_up, &layer_.down}) {
    for (const TensorView& weight : *weights) kernels_->Scale(10, weight);
  }
  layer_.Forward();
  layer_.Backward();
  Check("x", layer_.x, layer_.dx);
  Check("weights", layer_.weights, layer_.d_weights);
  for (size_t expert = 0; expert < layer_.gate_up.size(); ++expert) {
    Check("gate_up", layer_.gate_up[expert], layer_.d_gate_up[expert]);
    Check("down", layer_.down[expert], layer_.d_down[expert]);
  }
}

}  // namespace
}  // namespace weft
