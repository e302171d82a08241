// Our models on one rank against PyTorch in float64: logits, routing, loss, balance loss, every
// gradient, ten optimizer steps. The real path is driven: step graph, plan, executor, training
// program.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/models/fixture.h"
#include "tests/models/one_rank.h"

namespace weft {
namespace {

// fp32 against float64, relative to the largest value of a tensor.
constexpr double kTolerance = 1e-5;

// max |ours - theirs| / max |theirs|; the absolute error where all of theirs are zero.
template <typename T>
double RelativeError(std::span<const T> ours, std::span<const T> theirs) {
  if (ours.size() != theirs.size()) return std::numeric_limits<double>::infinity();
  double worst = 0;
  double largest = 0;
  for (size_t i = 0; i < ours.size(); ++i) {
    const double error = std::abs(double{ours[i]} - double{theirs[i]});
    if (!(error <= worst)) worst = error;  // NaN is the worst
    largest = std::max(largest, std::abs(double{theirs[i]}));
  }
  return largest > 0 ? worst / largest : worst;
}

std::span<const float> ValuesOf(const ConstTensorView& view) {
  return {view.as<float>(), static_cast<size_t>(view.elements())};
}

class OracleTest : public testing::TestWithParam<std::tuple<const char*, bool>> {
 protected:
  OracleTest()
      : fixture_(std::get<0>(GetParam())),
        options_(fixture_.options()),
        rank_(std::get<1>(GetParam()) ? MakeReferenceKernels() : MakeCpuKernels(), options_) {
    for (const auto& [name, parameter] : rank_.parameters()) {
      const auto initial = fixture_.Floats("init/" + name);
      EXPECT_EQ(static_cast<int64_t>(initial.size()), parameter.value.elements()) << name;
      std::copy(initial.begin(), initial.end(), parameter.value.as<float>());
    }
    EXPECT_EQ(fixture_.NamesUnder("init/").size(), rank_.parameters().size());
  }

  std::span<const int32_t> OfStep(const std::string& name, int64_t step) const {
    const auto count = static_cast<size_t>(options_.batch.global_tokens());
    return fixture_.Integers(name).subspan(static_cast<size_t>(step) * count, count);
  }

  StepTotals Train(int64_t step) {
    Worker::StepArgs args;
    args.step = step;
    args.tokens = OfStep("tokens", step);
    args.labels = OfStep("labels", step);
    args.update = step + 1;
    args.learning_rate = LearningRateAt(options_.optimizer, step, fixture_.steps());
    return rank_.Run(StepKind::kTraining, args);
  }

  const Fixture fixture_;
  const WorkerOptions options_;
  OneRank rank_;
};

TEST_P(OracleTest, LogitsRoutingAndLossOfTheForwardPass) {
  const auto logits = fixture_.Floats("logits");
  const auto tokens_of_batch = static_cast<size_t>(options_.batch.tokens());
  const size_t width = tokens_of_batch * static_cast<size_t>(options_.model.vocab_size);
  std::map<int32_t, std::vector<int32_t>> rows;
  double loss = 0;
  for (size_t m = 0; m < static_cast<size_t>(options_.batch.micro_batches); ++m) {
    Worker::StepArgs args;
    args.tokens = OfStep("tokens", 0).subspan(m * tokens_of_batch, tokens_of_batch);
    args.labels = OfStep("labels", 0).subspan(m * tokens_of_batch, tokens_of_batch);
    loss += rank_.Run(StepKind::kForward, args).cross_entropy / options_.batch.micro_batches;
    EXPECT_LE(RelativeError(ValuesOf(rank_.model().logits()), logits.subspan(m * width, width)),
              kTolerance);
    for (int32_t layer = 0; layer < options_.model.num_layers; ++layer) {
      const MoeLayer* moe = rank_.model().moe_layer(layer);
      ASSERT_EQ(moe != nullptr, options_.model.is_moe_layer(layer));
      if (moe == nullptr) continue;
      const auto counts = moe->router().counts();
      rows[layer].resize(counts.size());
      std::transform(counts.begin(), counts.end(), rows[layer].begin(), rows[layer].begin(),
                     std::plus<>());
    }
  }
  EXPECT_NEAR(loss, fixture_.Doubles("loss")[0], kTolerance * loss);
  for (const auto& [layer, counts] : rows) {
    const auto expected = fixture_.Integers(absl::StrCat("rows/", layer));
    EXPECT_EQ(counts, std::vector<int32_t>(expected.begin(), expected.end())) << "layer " << layer;
  }
}

TEST_P(OracleTest, EveryGradient) {
  const StepTotals totals = Train(0);
  EXPECT_NEAR(totals.cross_entropy, fixture_.Doubles("loss")[0], kTolerance * totals.cross_entropy);
  EXPECT_NEAR(totals.balance, fixture_.Doubles("balance")[0], kTolerance * totals.balance);
  EXPECT_NEAR(totals.gradient_norm, fixture_.Doubles("gradient_norm")[0],
              kTolerance * totals.gradient_norm);
  for (const auto& [name, parameter] : rank_.parameters()) {
    EXPECT_LE(RelativeError(ValuesOf(parameter.gradient), fixture_.Floats("grad/" + name)),
              kTolerance)
        << name;
  }
}

TEST_P(OracleTest, TenOptimizerSteps) {
  for (int64_t step = 0; step < fixture_.steps(); ++step) {
    SCOPED_TRACE(absl::StrCat("step ", step));
    const auto expected = [&](const char* series) {
      return fixture_.Doubles(series)[static_cast<size_t>(step)];
    };
    EXPECT_NEAR(LearningRateAt(options_.optimizer, step, fixture_.steps()),
                expected("learning_rate"), 1e-15);
    const StepTotals totals = Train(step);
    EXPECT_NEAR(totals.cross_entropy, expected("loss"), kTolerance * expected("loss"));
    EXPECT_NEAR(totals.balance, expected("balance"), kTolerance * expected("balance"));
    EXPECT_NEAR(totals.gradient_norm, expected("gradient_norm"),
                kTolerance * expected("gradient_norm"));
  }
  for (const auto& [name, parameter] : rank_.parameters()) {
    EXPECT_LE(RelativeError(ValuesOf(parameter.value), fixture_.Floats("final/" + name)),
              kTolerance)
        << name;
    EXPECT_GT(RelativeError(ValuesOf(parameter.value), fixture_.Floats("init/" + name)),
              10 * kTolerance)
        << name << " was not trained";
  }
}

INSTANTIATE_TEST_SUITE_P(
    Fixtures, OracleTest,
    testing::Combine(testing::Values("gpt2_every_layer", "gpt2_plain_weights",
                                     "mixtral_second_layer", "mixtral_capacity",
                                     "mixtral_plain_capacity", "mixtral_shared_experts",
                                     "gpt2_shared_expert"),
                     testing::Bool()),
    [](const auto& test) {
      return absl::StrCat(std::get<0>(test.param), std::get<1>(test.param) ? "_reference" : "_cpu");
    });

}  // namespace
}  // namespace weft
