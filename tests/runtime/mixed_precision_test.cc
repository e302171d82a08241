// Training in bf16: near fp32, the same model on every layout, the same bits under every plan.

#include <gtest/gtest.h>

#include <cmath>

#include "tests/runtime/inproc_coordination.h"
#include "tests/runtime/layout_cases.h"
#include "tests/runtime/run_ranks.h"
#include "tests/runtime/test_directory.h"
#include "tests/runtime/training_job.h"

namespace weft {
namespace {

TinyJob InBf16(TinyJob job) {
  job.model.precision = Precision::kBf16;
  return job;
}

class MixedPrecisionTest : public testing::TestWithParam<LayoutCase> {};

TEST_P(MixedPrecisionTest, PlansChangeNoBit) {
  TinyJob job = InBf16(GetParam().job());
  job.steps = 3;
  const std::vector<TinyResult> plain = RunRanks(job);
  job.forward_degree = 2;
  job.backward_degree = 3;
  job.slices = 3;
  job.cut_blocks = !job.cut_blocks;
  job.shuffle = 7;
  const std::vector<TinyResult> cut = RunRanks(job);
  for (size_t rank = 0; rank < plain.size(); ++rank) {
    EXPECT_EQ(cut[rank].losses, plain[rank].losses);
    EXPECT_EQ(cut[rank].norms, plain[rank].norms);
    EXPECT_EQ(cut[rank].values, plain[rank].values);
  }
}

// Attention cut inside its sequences: sums for keys and values wait in fp32 between the pieces.
TEST_P(MixedPrecisionTest, PiecesOfASequenceChangeNoBit) {
  TinyJob job = InBf16(GetParam().job());
  job.length = job.model.max_sequence_length = 192;
  job.steps = 2;
  const std::vector<TinyResult> plain = RunRanks(job);
  job.forward_degree = job.backward_degree = 3;
  job.cut_blocks = true;
  const std::vector<TinyResult> cut = RunRanks(job);
  for (size_t rank = 0; rank < plain.size(); ++rank) {
    EXPECT_EQ(cut[rank].losses, plain[rank].losses);
    EXPECT_EQ(cut[rank].values, plain[rank].values);
  }
}

// Partial sums of several ranks are rounded before they are added, one rank's are not.
TEST_P(MixedPrecisionTest, TrainsTheModelOfOneRank) {
  TinyJob job = InBf16(GetParam().job());
  const std::vector<TinyResult> many = RunRanks(job);
  TinyJob alone = job;
  alone.topology = {};
  alone.layout = {};
  alone.placements = {};
  alone.all_to_all = AllToAllAlgorithm::kDirect;
  alone.micro_batches = 1;
  const std::vector<TinyResult> one = RunRanks(alone);
  for (size_t step = 0; step < one[0].losses.size(); ++step) {
    EXPECT_NEAR(many[0].losses[step], one[0].losses[step], 5e-3 * one[0].losses[step]) << step;
    for (const TinyResult& rank : many) EXPECT_EQ(rank.losses[step], many[0].losses[step]);
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, MixedPrecisionTest, testing::ValuesIn(LayoutCases()),
                         [](const auto& test) { return test.param.name; });

TEST(Bf16Test, IsNearFp32AndRoundsWhatProductsRead) {
  for (const Backbone backbone : {Backbone::kMixtral, Backbone::kGpt2}) {
    TinyJob job;
    job.model = TinyModel(backbone);
    job.steps = 20;
    const TinyResult fp32 = RunRanks(job)[0];
    const TinyResult bf16 = RunRanks(InBf16(job))[0];
    const double learned = fp32.losses.front() - fp32.losses.back();
    EXPECT_GT(learned, 0);
    EXPECT_NEAR(bf16.losses.front() - bf16.losses.back(), learned, 0.1 * learned);
    for (size_t step = 0; step < fp32.losses.size(); ++step) {
      EXPECT_NEAR(bf16.losses[step], fp32.losses[step], 0.02 * fp32.losses[step]) << step;
      EXPECT_NE(bf16.losses[step], fp32.losses[step]) << step;
    }
    for (const auto& [name, values] : bf16.values) {
      for (const float value : values)
        ASSERT_EQ(BFloat16::FromFloat(value).ToFloat(), value) << name;
    }
  }
}

// Updates smaller than half a unit of bf16 add up: the masters are fp32.
TEST(Bf16Test, SmallUpdatesAreNotLost) {
  for (const int32_t zero_stage : {0, 1}) {
    TinyJob job;
    job.model = TinyModel(Backbone::kMixtral);
    job.topology = {2, 2};
    job.layout = {2, 1, 1};
    job.layout.zero_stage = zero_stage;
    job.steps = 12;
    job.learning_rate = 2e-5;  // Adam moves a number by about this much a step
    job = InBf16(job);
    const TinyResult bf16 = RunRanks(job)[0];
    job.model.precision = Precision::kFp32;
    const TinyResult fp32 = RunRanks(job)[0];
    EXPECT_NEAR(bf16.losses.front() - bf16.losses.back(), fp32.losses.front() - fp32.losses.back(),
                0.3 * (fp32.losses.front() - fp32.losses.back()));
  }
}

TEST(Bf16Test, SpreadingTheOptimizerStateChangesNoBit) {
  for (const auto& [topology, layout] :
       {std::pair(Topology{4, 2}, Layout{2, 2, 1}), std::pair(Topology{4, 4}, Layout{4, 1, 1}),
        std::pair(Topology{4, 2}, Layout{2, 1, 2}), std::pair(Topology{4, 1}, Layout{4, 1, 1}),
        std::pair(Topology{4, 2}, Layout{2, 2, 1, 2})}) {
    TinyJob job;
    job.model = TinyModel(Backbone::kGpt2);
    job.topology = topology;
    job.layout = layout;
    job.steps = 4;
    job.slices = 2;
    job = InBf16(job);
    const std::vector<TinyResult> replicated = RunRanks(job);
    job.layout.zero_stage = 1;
    const std::vector<TinyResult> spread = RunRanks(job);
    for (size_t rank = 0; rank < spread.size(); ++rank) {
      EXPECT_EQ(spread[rank].losses, replicated[rank].losses);
      EXPECT_EQ(spread[rank].values, replicated[rank].values);
    }
  }
}

TEST(Bf16Test, AJobThatStopsGoesOnWithTheSameBits) {
  for (const int32_t zero_stage : {0, 1}) {
    TestDirectory directory;
    TrainingJob job(directory);
    job.topology = {2, 2};
    job.layout = {2, 1, 1};
    job.layout.zero_stage = zero_stage;
    job.options.model.precision = Precision::kBf16;
    job.options.training.steps = 8;
    job.options.tuning.profile_seconds = 0.1;
    job.options.training.validate_every = 0;
    const auto whole = RunTrainingJob(job);
    ASSERT_TRUE(whole.ok()) << whole.status();
    InprocCoordination coordination(2);
    coordination.RequestAt(3, {.stop = true, .checkpoint = false});
    job.coordination = &coordination;
    const auto stopped = RunTrainingJob(job);
    ASSERT_TRUE(stopped.ok()) << stopped.status();
    EXPECT_EQ(stopped->summary.steps, 4);
    job.coordination = nullptr;
    job.run_directory = stopped->run.path();
    job.resume = true;
    const auto resumed = RunTrainingJob(job);
    ASSERT_TRUE(resumed.ok()) << resumed.status();
    EXPECT_EQ(resumed->Series("loss"), whole->Series("loss"));
  }
}

}  // namespace
}  // namespace weft
