#include "models/moe/router.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/random.h"
#include "models/parameters.h"

namespace weft {
namespace {

// A Mixtral layer's router alone, on tokens from a seed.
class RouterTest : public testing::Test {
 protected:
  static constexpr int64_t kSequences = 2;
  static constexpr int64_t kLength = 8;
  static constexpr int64_t kTokens = kSequences * kLength;
  static constexpr int64_t kWidth = 8;

  RouterTest() : kernels_(MakeReferenceKernels()), x_(kTokens * kWidth) {
    ModelSpec& spec = context_.spec;
    spec.num_layers = 1;
    spec.hidden_size = kWidth;
    spec.num_heads = 2;
    spec.num_kv_heads = 2;
    spec.init_std = 0.7;
    spec.moe.num_experts = 4;
    spec.moe.top_k = 2;
    spec.moe.balance_loss = 0.5;
    context_.batch = {kSequences, kLength, 1,
                      2 * kSequences};  // this rank has half of the global batch
    context_.kernels = kernels_.get();
    context_.rank = RankId{0};
    const CounterRng rng(3, "router");
    for (size_t i = 0; i < x_.size(); ++i) x_[i] = rng.Normal(i);
  }

  void Make() {
    parameters_ = std::make_unique<Parameters>(context_.spec, Layout{}, RankId{0}, 5);
    router_ = std::make_unique<Router>(context_, parameters_->dense(0), 0);
    router_->Place(placement_, ExpertHomes(placement_.experts()));
    cut_ = LayerCut(context_.batch, {}, {});
    router_->Prepare(cut_);
  }
  double Forward() {
    double balance = 0;
    for (int32_t piece = 0; piece < cut_.of(Direction::kForward).pieces(); ++piece) {
      router_->Decide(piece, batch_, X(), View(&balance, {1}));
      router_->Permute(piece, [this](int32_t, int64_t rows) { return Room(rows); });
    }
    return balance;
  }
  void CombineBackward(ConstTensorView dy, ConstTensorView returned) {
    router_->CombineBackward(0, dy, returned, [this](int32_t, int64_t rows) { return Room(rows); });
  }
  // For the rows of one chunk.
  TensorView Room(int64_t rows) {
    sent_.resize(static_cast<size_t>(rows * kWidth));
    return View(sent_.data(), {rows, kWidth});
  }
  ConstTensorView X() { return View(x_.data(), {kTokens, kWidth}); }
  TensorView RouterWeight() { return Of("layers.0.router.weight", false); }
  TensorView Of(const char* name, bool gradient) {
    Bucket& bucket = parameters_->dense(0);
    const Parameter& p = bucket.Find(name);
    return gradient ? bucket.Gradient(p) : bucket.Value(p);
  }
  // Makes every token prefer the same two experts: the normalised tokens are all positive.
  void PreferExperts(int64_t best, int64_t second) {
    for (float& v : x_) v = std::abs(v) + 0.1f;
    float* weight = RouterWeight().as<float>();
    for (int64_t e = 0; e < context_.spec.moe.num_experts; ++e) {
      std::fill_n(weight + e * kWidth, kWidth, e == best ? 1.0f : e == second ? 0.5f : 0.0f);
    }
  }

  ModelContext context_;
  std::unique_ptr<Kernels> kernels_;
  std::vector<float> x_;
  LayerCut cut_;
  ExpertPlacement placement_{4, 1};
  RoutedBatch batch_;
  std::vector<float> sent_;
  std::unique_ptr<Parameters> parameters_;
  std::unique_ptr<Router> router_;
};

TEST_F(RouterTest, DroplessKeepsEveryChoice) {
  Make();
  PreferExperts(2, 0);
  Forward();
  EXPECT_EQ(router_->dropped(), 0);
  EXPECT_EQ(std::vector<int32_t>(router_->counts().begin(), router_->counts().end()),
            (std::vector<int32_t>{kTokens, 0, kTokens, 0}));
}

TEST_F(RouterTest, CapacityDropsTheLastTokensOfEverySequence) {
  context_.spec.moe.capacity_mode = CapacityMode::kFactor;
  context_.spec.moe.capacity_factor = 1.2;  // ceil(1.2 * 2 * 8 / 4) = 5 rows an expert and sequence
  Make();
  PreferExperts(2, 0);
  Forward();
  EXPECT_EQ(router_->dropped(), 2 * kTokens - 4 * 5);
  EXPECT_EQ(std::vector<int32_t>(router_->counts().begin(), router_->counts().end()),
            (std::vector<int32_t>{10, 0, 10, 0}));

  // Experts that return ones: a token's output is the sum of the weights of its kept choices, 1 or
  // nothing.
  const std::vector<float> ones(static_cast<size_t>(2 * kTokens * kWidth), 1.0f);
  std::vector<float> y(x_.size());
  router_->Combine(0, X(), View(ones.data(), {2 * kTokens, kWidth}),
                   View(y.data(), {kTokens, kWidth}));
  for (int64_t t = 0; t < kTokens; ++t) {
    const auto i = static_cast<size_t>(t * kWidth);
    EXPECT_NEAR(y[i] - x_[i], t % kLength < 5 ? 1.0f : 0.0f, 1e-6f) << "token " << t;
  }
}

TEST_F(RouterTest, DroppedChoicesHaveNoGradient) {
  context_.spec.moe.capacity_mode = CapacityMode::kFactor;
  context_.spec.moe.capacity_factor = 1.2;
  context_.spec.moe.balance_loss = 0;
  context_.spec.moe.renormalize = false;
  Make();
  PreferExperts(2, 0);
  Forward();
  std::vector<float> returned(static_cast<size_t>(2 * kTokens * kWidth), 1.0f);
  std::vector<float> dy(x_.size(), 1.0f), dx(x_.size());
  const TensorView rows = View(returned.data(), {2 * kTokens, kWidth});
  const ConstTensorView d_output = View(const_cast<const float*>(dy.data()), {kTokens, kWidth});
  CombineBackward(d_output, rows);
  std::fill(returned.begin(), returned.end(), 0.0f);  // expert inputs get no gradient here
  router_->Backward(0, rows, d_output, X(), View(dx.data(), {kTokens, kWidth}));
  for (int64_t t = 0; t < kTokens; ++t) {
    double through_gate = 0;  // beside the residual's 1
    for (int64_t c = 0; c < kWidth; ++c)
      through_gate += std::abs(dx[static_cast<size_t>(t * kWidth + c)] - 1.0);
    if (t % kLength < 5) {
      EXPECT_GT(through_gate, 1e-3) << "token " << t;
    } else {
      EXPECT_EQ(through_gate, 0.0) << "token " << t;
    }
  }
}

// The second of two ranks, and what both of them send to each expert.
TEST_F(RouterTest, ForcedRoutingDecidesWhatTheGateOnlyWeighs) {
  MoeSpec& moe = context_.spec.moe;
  moe.routing = Routing::kForced;
  context_.seed = 9;
  const ForcedRouting routing(moe, kLength, context_.seed, 0);
  for (size_t w = 0; w < WorkloadNames().size(); ++w) {
    Make();
    PreferExperts(2, 0);
    batch_ = {static_cast<Workload>(w), 14, 0, 2 * kSequences};
    std::vector<int64_t> both(static_cast<size_t>(moe.num_experts));
    for (const int64_t first : {int64_t{0}, kSequences}) {
      batch_.first_sequence = first;
      Forward();
      EXPECT_EQ(router_->dropped(), 0);
      for (size_t e = 0; e < both.size(); ++e) both[e] += router_->counts()[e];
    }
    batch_.first_sequence = 0;
    EXPECT_EQ(both, routing.Load(batch_, 2 * kSequences)) << Name(batch_.workload);

    // Experts that return ones: the renormalised weights of the forced experts sum to 1.
    const std::vector<float> ones(static_cast<size_t>(2 * kTokens * kWidth), 1.0f);
    std::vector<float> y(x_.size());
    router_->Combine(0, X(), View(ones.data(), {2 * kTokens, kWidth}),
                     View(y.data(), {kTokens, kWidth}));
    for (size_t i = 0; i < y.size(); ++i) EXPECT_NEAR(y[i] - x_[i], 1.0f, 1e-5f);
  }
}

TEST_F(RouterTest, CapacityZeroAndNegativeMeanTheLargestLoad) {
  context_.spec.moe.capacity_mode = CapacityMode::kFactor;
  context_.spec.moe.capacity_factor = 0;
  Make();
  PreferExperts(2, 0);
  Forward();
  EXPECT_EQ(router_->dropped(), 0);
  context_.spec.moe.capacity_factor = -1.2;  // the largest load, capped at 1.2
  Forward();
  EXPECT_EQ(router_->dropped(), 2 * kTokens - 4 * 5);
}

TEST_F(RouterTest, BalanceLossIsItsFormula) {
  Make();
  const double balanced = Forward();
  // E * sum f_e P_e is 1 for an even spread and E / k * (P of the two) when all go to two experts;
  // half of the batch.
  EXPECT_GT(balanced, 0.5 * context_.spec.moe.balance_loss * 0.9);
  PreferExperts(2, 0);
  const double collapsed = Forward();
  const std::vector<double> score = {0.5, 0, 1, 0};
  double expected = 0;
  for (int64_t t = 0; t < kTokens; ++t) {
    double squares = 0, sum = 0;
    for (int64_t c = 0; c < kWidth; ++c) {
      const double v = x_[static_cast<size_t>(t * kWidth + c)];
      squares += v * v;
      sum += v;
    }
    const double normed = sum / std::sqrt(squares / kWidth + context_.spec.norm_epsilon);
    double denominator = 0;
    for (const double s : score) denominator += std::exp(s * normed);
    const double chosen = (std::exp(0.5 * normed) + std::exp(normed)) / denominator;
    expected += context_.spec.moe.balance_loss * 4 * 0.5 * chosen / kTokens / 2;
  }
  EXPECT_NEAR(collapsed, expected, 1e-6);
}

// With nothing else in the loss, dx and dW of the router are the gradient of the balance loss.
TEST_F(RouterTest, BalanceLossGradientAgreesWithDifferences) {
  Make();
  const std::vector<float> zeros(static_cast<size_t>(2 * kTokens * kWidth), 0.0f);
  std::vector<float> dx(x_.size());
  const ConstTensorView no_rows = View(zeros.data(), {2 * kTokens, kWidth});
  const ConstTensorView no_dy = View(zeros.data(), {kTokens, kWidth});
  Forward();
  const std::vector<int32_t> counts(router_->counts().begin(), router_->counts().end());
  CombineBackward(no_dy, no_rows);
  router_->Backward(0, no_rows, no_dy, X(), View(dx.data(), {kTokens, kWidth}));
  router_->BackwardWeights(X());

  const auto expect_gradient = [&](float* values, const float* gradient, int64_t count,
                                   const char* what) {
    double largest = 0;
    for (int64_t i = 0; i < count; ++i) largest = std::max(largest, std::abs(double{gradient[i]}));
    EXPECT_GT(largest, 0) << what;
    constexpr float kStep = 1e-3f;
    for (int64_t i = 0; i < count; ++i) {
      const float kept = values[i];
      const float above = kept + kStep, below = kept - kStep;
      values[i] = above;
      const double up = Forward();
      EXPECT_EQ(counts, std::vector<int32_t>(router_->counts().begin(), router_->counts().end()))
          << "a choice flipped";
      values[i] = below;
      const double down = Forward();
      values[i] = kept;
      EXPECT_NEAR((up - down) / (double{above} - double{below}), gradient[i], 5e-3 * largest)
          << what << " " << i;
    }
  };
  expect_gradient(x_.data(), dx.data(), kTokens * kWidth, "x");
  const TensorView weight = RouterWeight();
  expect_gradient(weight.as<float>(), Of("layers.0.router.weight", true).as<float>(),
                  weight.elements(), "router.weight");
  const TensorView gamma = Of("layers.0.ffn_norm.weight", false);
  expect_gradient(gamma.as<float>(), Of("layers.0.ffn_norm.weight", true).as<float>(), kWidth,
                  "ffn_norm.weight");
}

// Along the tokens: the same choices, drops and losses, the rows of a piece behind those of the
// piece before.
TEST_F(RouterTest, PiecesDecideWhatTheWholeDecides) {
  context_.spec.moe.capacity_mode = CapacityMode::kFactor;
  context_.spec.moe.capacity_factor = 0.8;
  Make();
  const double balance = Forward();
  const std::vector<int32_t> counts(router_->counts().begin(), router_->counts().end());
  const int64_t dropped = router_->dropped();
  ASSERT_GT(dropped, 0);
  cut_ = LayerCut(context_.batch, {2, true}, {1, false});
  router_->Prepare(cut_);
  EXPECT_EQ(Forward(), balance);
  EXPECT_EQ(router_->dropped(), dropped);
  ASSERT_EQ(router_->counts().size(), 2 * counts.size());
  for (size_t e = 0; e < counts.size(); ++e)
    EXPECT_EQ(router_->counts()[e] + router_->counts()[counts.size() + e], counts[e]);
  const SendOrder& order = router_->order(Direction::kForward);
  EXPECT_EQ(order.chunk_begin(2), 2 * kTokens - dropped);
}

}  // namespace
}  // namespace weft
