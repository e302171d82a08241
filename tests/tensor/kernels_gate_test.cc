#include <limits>

#include "tests/tensor/kernels_support.h"

namespace weft {
namespace {

struct GateResult {
  Floats probs;
  Ints experts;
  Floats weights;
};

GateResult RunGate(Kernels& kernels, const Floats& logits, int64_t top_k, bool renormalize) {
  const int64_t tokens = logits.shape()[0];
  GateResult result{Floats(logits.shape()), Ints({tokens, top_k}, -7), Floats({tokens, top_k})};
  kernels.GateForward({logits.view(), top_k, renormalize, result.probs.view(),
                       result.experts.view(), result.weights.view()});
  return result;
}

class KernelsGateTest : public FastKernelsTest {};

TEST_P(KernelsGateTest, EqualsTheReference) {
  for (const int64_t tokens : {0, 1, 77}) {
    for (const int64_t experts : {1, 3, 8, 16, 60, 256, 600}) {
      for (const int64_t top_k : {1, 2, 6}) {
        if (top_k > experts) continue;
        for (const bool renormalize : {true, false}) {
          const Floats logits = Floats::Normal({tokens, experts}, 1, 2);
          const GateResult expected = RunGate(*reference_, logits, top_k, renormalize);
          const GateResult actual = RunGate(*fast_, logits, top_k, renormalize);
          EXPECT_EQ(actual.experts.values(), expected.experts.values());
          EXPECT_TRUE(Near(actual.probs, expected.probs, 1e-6));
          EXPECT_TRUE(Near(actual.weights, expected.weights, 1e-6));

          const Floats d_weights = Floats::Normal({tokens, top_k}, 2);
          const Floats d_probs = Floats::Normal({tokens, experts}, 3);
          Floats d_logits[2] = {Floats({tokens, experts}), Floats({tokens, experts})};
          for (int i = 0; i < 2; ++i) {
            (i == 0 ? reference_ : fast_)
                ->GateBackward({expected.probs.view(), expected.experts.view(),
                                expected.weights.view(), d_weights.view(), d_probs.view(),
                                renormalize, d_logits[i].view()});
          }
          EXPECT_TRUE(Near(d_logits[1], d_logits[0], 2e-6));
        }
      }
    }
  }
}

// As many experts as a lane of a warp has none, one, or some of.
TEST_P(KernelsGateTest, TiesOfManyExpertsGoToTheLowerOne) {
  for (const int32_t experts : {5, 33, 64, 100, 513}) {
    const Floats logits({1, experts}, -1);
    const GateResult result = RunGate(*fast_, logits, experts, true);
    for (int32_t e = 0; e < experts; ++e)
      EXPECT_EQ(result.experts.values()[static_cast<size_t>(e)], e);
  }
}

TEST_P(KernelsGateTest, TiesGoToTheLowerExpert) {
  Floats logits({2, 20}, 0.5f);
  logits[20 + 17] = logits[20 + 4] = 2;
  for (Kernels* kernels : {reference_.get(), fast_.get()}) {
    GateResult result = RunGate(*kernels, logits, 3, true);
    EXPECT_EQ(result.experts.values(), (std::vector<int32_t>{0, 1, 2, 4, 17, 0}));
    EXPECT_FLOAT_EQ(result.weights[0], 1.0f / 3);
  }
}

// Two logits whose probabilities round to the same float are no tie.
TEST_P(KernelsGateTest, ChoiceFollowsTheLogitsNotTheRoundedProbabilities) {
  Floats logits({1, 4}, 0);
  logits[0] = 1e-9f;
  logits[2] = 2e-9f;
  for (Kernels* kernels : {reference_.get(), fast_.get()}) {
    EXPECT_EQ(RunGate(*kernels, logits, 2, true).experts.values(), (std::vector<int32_t>{2, 0}));
  }
}

TEST_P(KernelsGateTest, WeightsSumToOneOnlyWhenRenormalized) {
  const Floats logits = Floats::Normal({9, 12}, 4);
  for (Kernels* kernels : {reference_.get(), fast_.get()}) {
    for (const bool renormalize : {true, false}) {
      const GateResult result = RunGate(*kernels, logits, 3, renormalize);
      for (int64_t t = 0; t < 9; ++t) {
        const double sum =
            result.weights[3 * t] + result.weights[3 * t + 1] + result.weights[3 * t + 2];
        if (renormalize) {
          EXPECT_NEAR(sum, 1, 1e-6);
        } else {
          EXPECT_LT(sum, 0.999);
        }
      }
    }
  }
}

// Forced experts: the same probabilities, and weights of the given experts, whatever the logits
// say.
TEST_P(KernelsGateTest, ForcedExpertsKeepTheirPlaceAndGetTheirProbabilities) {
  const Floats logits = Floats::Normal({2, 5}, 4);
  const std::vector<int32_t> given = {4, 0, 2, 1};
  for (Kernels* kernels : {reference_.get(), fast_.get()}) {
    for (const bool renormalize : {true, false}) {
      const GateResult learned = RunGate(*kernels, logits, 2, renormalize);
      GateResult forced{Floats({2, 5}), Ints({2, 2}), Floats({2, 2})};
      for (int64_t i = 0; i < 4; ++i) forced.experts[i] = given[static_cast<size_t>(i)];
      kernels->GateForward({logits.view(), 2, renormalize, forced.probs.view(),
                            forced.experts.view(), forced.weights.view(), true});
      EXPECT_EQ(forced.experts.values(), given);
      EXPECT_TRUE(Near(forced.probs, learned.probs, 0));
      for (int64_t i = 0; i < 4; ++i) {
        const int64_t row = 5 * (i / 2);
        const float p = forced.probs[row + given[static_cast<size_t>(i)]];
        const float sum = forced.probs[row + given[static_cast<size_t>(i / 2 * 2)]] +
                          forced.probs[row + given[static_cast<size_t>(i / 2 * 2 + 1)]];
        EXPECT_FLOAT_EQ(forced.weights[i], renormalize ? p / sum : p);
      }
    }
  }
}

// A diverged router must not make the dispatch read beyond its experts.
TEST_P(KernelsGateTest, LogitsThatAreNotNumbersStillNameDifferentExperts) {
  const Floats logits({1, 6}, std::numeric_limits<float>::quiet_NaN());
  const GateResult result = RunGate(*fast_, logits, 4, true);
  EXPECT_EQ(result.experts.values(), (std::vector<int32_t>{0, 1, 2, 3}));
  EXPECT_TRUE(result.probs[0] != result.probs[0]);
}

INSTANTIATE_TEST_SUITE_P(Fast, KernelsGateTest, ::testing::ValuesIn(Implementations()), NameOf);

}  // namespace
}  // namespace weft
