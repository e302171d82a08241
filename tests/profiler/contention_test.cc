#include "profiler/contention.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "base/random.h"

namespace weft {
namespace {

Contention Known() {
  Contention contention;
  contention.stretch = {{{0, 0.3, 0.8}, {0.5, 0, 0}, {0.2, 0.6, 0}}};
  return contention;
}

// Tasks of all streams beside random shares of the others, with 5% of noise; every `outlier`-th
// took five times as long as it should have.
std::vector<BesideSample> SamplesUnder(const Contention& contention, int count, int outlier) {
  const CounterRng random(1, "contention");
  uint64_t draw = 0;
  std::vector<BesideSample> samples;
  for (int i = 0; i < count; ++i) {
    BesideSample sample;
    sample.stream = static_cast<StreamKind>(i % kNumStreams);
    for (size_t t = 0; t < kNumStreams; ++t) {
      if (t != static_cast<size_t>(sample.stream)) {
        sample.beside[t] = static_cast<double>(random.Uniform(draw++));
      }
    }
    sample.alone_seconds = 1e-4 * (1 + static_cast<double>(random.Uniform(draw++)));
    const double noise = 1 + 0.05 * static_cast<double>(random.Normal(draw++));
    sample.seconds =
        sample.alone_seconds / contention.AloneShare(sample.stream, sample.beside) * noise;
    if (outlier > 0 && i % outlier == 0) sample.seconds *= 5;
    samples.push_back(sample);
  }
  return samples;
}

void ExpectNear(const Contention& fitted, const Contention& known, double error) {
  for (size_t s = 0; s < kNumStreams; ++s) {
    for (size_t t = 0; t < kNumStreams; ++t) {
      EXPECT_NEAR(fitted.stretch[s][t], known.stretch[s][t], error) << s << " beside " << t;
    }
  }
}

TEST(ContentionTest, FindsWhatMadeTheSamples) {
  ExpectNear(FitContention(SamplesUnder(Known(), 3000, 0)), Known(), 0.03);
}

TEST(ContentionTest, OutliersAreLeftOut) {
  ExpectNear(FitContention(SamplesUnder(Known(), 3000, 16)), Known(), 0.06);
}

TEST(ContentionTest, NeverSpeedsUp) {
  std::vector<BesideSample> samples;
  for (int i = 0; i < 50; ++i) {
    // Faster beside inter-node communication, slower beside both: only intra-node may explain it.
    samples.push_back({StreamKind::kCompute, 1, 0.8, {0, 0, 1}});
    samples.push_back({StreamKind::kCompute, 1, 1.2, {0, 1, 1}});
  }
  const Contention fitted = FitContention(samples);
  EXPECT_EQ(fitted.stretch[0][2], 0);
  EXPECT_NEAR(fitted.stretch[0][1], 0.2, 0.01);
}

TEST(ContentionTest, StreamsThatAreAlwaysBusyTogetherShareOnePrice) {
  const std::vector<BesideSample> samples(20, {StreamKind::kCompute, 1, 1.5, {0, 0.5, 0.5}});
  const Contention fitted = FitContention(samples);
  EXPECT_NEAR(fitted.AloneShare(StreamKind::kCompute, {0, 0.5, 0.5}), 1 / 1.5, 1e-3);
}

TEST(ContentionTest, NothingBesideIsNoContention) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_TRUE(FitContention({}).none());
  const std::vector<BesideSample> samples = {
      {StreamKind::kCompute, 1, 3, {0, 0.04, 0.05}},  // hardly beside anything
      {StreamKind::kIntra, 0, 3, {1, 0, 1}},          // nobody knows what it costs alone
      {StreamKind::kIntra, nan, 3, {1, 0, 1}},
      {StreamKind::kInter, 1, nan, {1, 1, 0}},
  };
  EXPECT_TRUE(FitContention(samples).none());
}

// While the other stream is busy, half of the time, the task runs at a third of its speed.
TEST(ContentionTest, TheShareAloneIsOfTimeNotOfWork) {
  Contention contention;
  contention.stretch[1][0] = 2;
  EXPECT_DOUBLE_EQ(contention.AloneShare(StreamKind::kIntra, {0.5, 0, 0}), 0.5 + 0.5 / 3);
  EXPECT_DOUBLE_EQ(contention.AloneShare(StreamKind::kIntra, {1, 0, 0}), 1.0 / 3);
  EXPECT_DOUBLE_EQ(contention.AloneShare(StreamKind::kIntra, {0, 0, 1}), 1);
  EXPECT_DOUBLE_EQ(contention.AloneShare(StreamKind::kCompute, {0, 1, 1}), 1);
}

// Short tasks that wait for a core beside a sliver of computation do not run a hundred times as
// long beside all of it.
TEST(ContentionTest, PromisesNoMoreThanSamplesSay) {
  const std::vector<BesideSample> samples(50, {StreamKind::kIntra, 1e-4, 4e-4, {0.06, 0, 0}});
  const Contention contention = FitContention(samples);
  EXPECT_DOUBLE_EQ(contention.stretch[1][0], 3);
}

}  // namespace
}  // namespace weft
