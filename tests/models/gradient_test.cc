// The whole model's gradient against differences of its loss, along a random direction of every
// parameter.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "tests/models/one_rank.h"

namespace weft {
namespace {

struct Case {
  const char* name;
  Backbone backbone;
  int32_t every;
  int32_t micro_batches;
  bool renormalize;
  double capacity_factor;  // 0: dropless
  std::optional<Workload> forced = std::nullopt;
  int32_t shared_experts = 0;
};

WorkerOptions OptionsOf(const Case& c) {
  WorkerOptions options;
  ModelSpec& model = options.model;
  model.backbone = c.backbone;
  model.vocab_size = 13;
  model.num_layers = 2;
  model.hidden_size = 8;
  model.num_heads = 4;
  model.num_kv_heads = c.backbone == Backbone::kGpt2 ? 4 : 2;
  model.ffn_hidden_size = 12;
  model.max_sequence_length = 6;
  model.init_std = 0.4;
  model.moe.num_experts = 4;
  model.moe.every = c.every;
  model.moe.renormalize = c.renormalize;
  model.moe.shared_experts = c.shared_experts;
  model.moe.balance_loss = 0.3;  // large enough that its gradient could not hide
  if (c.capacity_factor > 0) {
    model.moe.capacity_mode = CapacityMode::kFactor;
    model.moe.capacity_factor = c.capacity_factor;
  }
  if (c.forced.has_value()) {
    model.moe.routing = Routing::kForced;
    model.moe.workload = *c.forced;
  }
  options.batch = {2, 6, c.micro_batches, int64_t{2} * c.micro_batches};
  options.seed = 17;
  return options;
}

class GradientTest : public testing::TestWithParam<Case> {
 protected:
  GradientTest() : options_(OptionsOf(GetParam())), rank_(MakeReferenceKernels(), options_) {
    const CounterRng rng(23, absl::StrCat("tokens of ", GetParam().name));
    for (uint64_t i = 0; i < static_cast<uint64_t>(options_.batch.global_tokens()); ++i) {
      const auto vocabulary = static_cast<uint64_t>(options_.model.vocab_size);
      tokens_.push_back(static_cast<int32_t>(rng.Bits(2 * i) % vocabulary));
      labels_.push_back(static_cast<int32_t>(rng.Bits(2 * i + 1) % vocabulary));
    }
  }

  // Of the whole step. The gradient is left in the parameters; a rate of 0 leaves their values
  // alone.
  double Loss() {
    Worker::StepArgs args;
    args.tokens = tokens_;
    args.labels = labels_;
    args.learning_rate = 0;
    const StepTotals totals = rank_.Run(StepKind::kTraining, args);
    return totals.cross_entropy + totals.balance;
  }

  // Rows of every expert in the last micro-batch: the loss jumps where a token changes its mind.
  std::vector<int32_t> Choices() const {
    std::vector<int32_t> all;
    for (int32_t layer = 0; layer < options_.model.num_layers; ++layer) {
      const MoeLayer* moe = rank_.model().moe_layer(layer);
      if (moe == nullptr) continue;
      all.insert(all.end(), moe->router().counts().begin(), moe->router().counts().end());
    }
    return all;
  }

  const WorkerOptions options_;
  OneRank rank_;
  std::vector<int32_t> tokens_, labels_;
};

TEST_P(GradientTest, AgreesWithDifferences) {
  Loss();
  const std::vector<int32_t> choices = Choices();
  std::map<std::string, std::vector<float>> gradients;
  for (const auto& [name, parameter] : rank_.parameters()) {
    const float* gradient = parameter.gradient.as<float>();
    gradients[name].assign(gradient, gradient + parameter.gradient.elements());
  }
  for (const auto& [name, parameter] : rank_.parameters()) {
    const std::vector<float>& gradient = gradients[name];
    float* values = parameter.value.as<float>();
    const std::vector<float> kept(values, values + gradient.size());
    double norm = 0;
    for (const float g : gradient) norm += double{g} * g;
    norm = std::sqrt(norm);
    // Half along the gradient, half at random: neither a wrong length nor a wrong direction goes
    // unseen.
    const CounterRng rng(29, name);
    const double scale = 1 / std::sqrt(static_cast<double>(gradient.size()));
    std::vector<double> direction;
    for (size_t i = 0; i < gradient.size(); ++i) {
      direction.push_back((norm > 0 ? gradient[i] / norm : 0) + scale * double{rng.Normal(i)});
    }
    constexpr double kStep = 1e-3;
    double expected = 0;
    const auto loss_at = [&, &name = name](double distance) {  // clang 14 asks for it
      for (size_t i = 0; i < kept.size(); ++i)
        values[i] = static_cast<float>(kept[i] + distance * direction[i]);
      const double loss = Loss();
      EXPECT_EQ(Choices(), choices) << name << ": a token changes its mind here, take another seed";
      return loss;
    };
    const double slope = (loss_at(kStep) - loss_at(-kStep)) / (2 * kStep);
    for (size_t i = 0; i < kept.size(); ++i) expected += direction[i] * gradient[i];
    std::copy(kept.begin(), kept.end(), values);
    // fp32 logits leave about 1e-7 / kStep of noise; the rest is the third derivative.
    EXPECT_NEAR(slope, expected, 2e-4 + 2e-3 * norm) << name << " of norm " << norm;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Models, GradientTest,
    testing::Values(Case{"Gpt2", Backbone::kGpt2, 1, 1, true, 0},
                    Case{"Gpt2EverySecond", Backbone::kGpt2, 2, 2, false, 0},
                    Case{"Mixtral", Backbone::kMixtral, 1, 2, true, 0},
                    Case{"MixtralEverySecond", Backbone::kMixtral, 2, 1, false, 0},
                    Case{"MixtralCapacity", Backbone::kMixtral, 1, 1, true, 0.8},
                    Case{"Gpt2Forced", Backbone::kGpt2, 2, 1, true, 0, Workload::kHotRank},
                    Case{"MixtralForced", Backbone::kMixtral, 1, 2, false, 0, Workload::kZipf},
                    Case{"MixtralForcedCapacity", Backbone::kMixtral, 1, 1, true, 0.8,
                         Workload::kZeroLoadRanks},
                    Case{"Gpt2Shared", Backbone::kGpt2, 1, 1, true, 0, std::nullopt, 1},
                    Case{"MixtralShared", Backbone::kMixtral, 2, 2, false, 0.8, std::nullopt, 2}),
    [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace weft
