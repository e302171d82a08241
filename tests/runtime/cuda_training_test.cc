// Steps on a CUDA device train the model that steps on the CPU train, in every layout: ranks are
// threads that share the device.

#include <gtest/gtest.h>

#include <cmath>

#include "tests/runtime/inproc_coordination.h"
#include "tests/runtime/layout_cases.h"
#include "tests/runtime/run_ranks.h"
#include "tests/runtime/test_directory.h"
#include "tests/runtime/training_job.h"

namespace weft {
namespace {

const absl::StatusOr<std::unique_ptr<ComputeDevice>>& Device() {
  static const auto* const device =
      new absl::StatusOr<std::unique_ptr<ComputeDevice>>(MakeCudaDevice(0));
  return *device;
}

class CudaTrainingTest : public testing::TestWithParam<LayoutCase> {
 protected:
  void SetUp() override {
    if (!Device().ok()) GTEST_SKIP() << Device().status().message();
  }
};

TEST_P(CudaTrainingTest, TrainsTheModelOfTheCpu) {
  TinyJob job = GetParam().job();
  job.steps = 4;
  job.forward_degree = 2;
  job.backward_degree = 3;
  job.slices = 2;
  const std::vector<TinyResult> cpu = RunRanks(job);
  job.device = Device()->get();
  const std::vector<TinyResult> cuda = RunRanks(job);
  for (size_t rank = 0; rank < cuda.size(); ++rank) {
    for (size_t step = 0; step < cpu[rank].losses.size(); ++step) {
      // fp32 sums in another order; what steps add to one another grows.
      EXPECT_NEAR(cuda[rank].losses[step], cpu[rank].losses[step], 2e-5) << "step " << step;
      EXPECT_NEAR(cuda[rank].norms[step] / cpu[rank].norms[step], 1, 2e-4) << "step " << step;
    }
  }
}

// The same points of rounding, sums in other orders: where a sum is near the middle of two numbers
// of bf16 the one or the other is stored.
TEST_P(CudaTrainingTest, TrainsTheModelOfTheCpuInBf16) {
  TinyJob job = GetParam().job();
  job.model.precision = Precision::kBf16;
  job.steps = job.layout.world_size() == 1 ? 10 : 2;
  job.forward_degree = 2;
  job.backward_degree = 3;
  const std::vector<TinyResult> cpu = RunRanks(job);
  job.device = Device()->get();
  const std::vector<TinyResult> cuda = RunRanks(job);
  for (size_t rank = 0; rank < cuda.size(); ++rank) {
    for (size_t step = 0; step < cpu[rank].losses.size(); ++step) {
      EXPECT_NEAR(cuda[rank].losses[step] / cpu[rank].losses[step], 1, 5e-3) << "step " << step;
      EXPECT_NEAR(cuda[rank].norms[step] / cpu[rank].norms[step], 1, 3e-2) << "step " << step;
    }
  }
}

// Which stream does what when is the plan's; what comes of it is not.
TEST_P(CudaTrainingTest, EveryOrderGivesTheSameBits) {
  TinyJob job = GetParam().job();
  job.steps = 2;
  job.device = Device()->get();
  const std::vector<TinyResult> plain = RunRanks(job);
  job.forward_degree = 3;
  job.backward_degree = 2;
  job.slices = 3;
  job.shuffle = 7;
  const std::vector<TinyResult> shuffled = RunRanks(job);
  for (size_t rank = 0; rank < plain.size(); ++rank) {
    EXPECT_EQ(shuffled[rank].losses, plain[rank].losses);
    EXPECT_EQ(shuffled[rank].values, plain[rank].values);
  }
}

// A job with everything around the steps: calibration, plans, validation, checkpoints.
TEST(CudaJobTest, AJobThatStopsGoesOnWithTheSameBits) {
  if (!Device().ok()) GTEST_SKIP() << Device().status().message();
  TestDirectory directory;
  TrainingJob job(directory);
  job.topology = {2, 2};
  job.layout = {1, 2, 1};
  job.options.training.steps = 10;
  job.options.tuning.profile_seconds = 0.1;
  job.options.training.validate_every = 0;
  job.options.checkpoint.at_end = true;
  const auto cpu = RunTrainingJob(job);
  ASSERT_TRUE(cpu.ok()) << cpu.status();
  job.device = Device()->get();
  const auto whole = RunTrainingJob(job);
  ASSERT_TRUE(whole.ok()) << whole.status();
  const std::vector<double> expected = cpu->Series("loss"), losses = whole->Series("loss");
  ASSERT_EQ(losses.size(), expected.size());
  for (size_t step = 0; step < losses.size(); ++step)
    EXPECT_NEAR(losses[step], expected[step], 1e-4);
  EXPECT_NEAR(whole->summary.val_bits_per_byte, cpu->summary.val_bits_per_byte, 1e-4);

  InprocCoordination coordination(2);
  coordination.RequestAt(4, {.stop = true, .checkpoint = false});
  job.coordination = &coordination;
  const auto stopped = RunTrainingJob(job);
  ASSERT_TRUE(stopped.ok()) << stopped.status();
  EXPECT_EQ(stopped->summary.steps, 5);
  job.coordination = nullptr;
  job.run_directory = stopped->run.path();
  job.resume = true;
  const auto resumed = RunTrainingJob(job);
  ASSERT_TRUE(resumed.ok()) << resumed.status();
  EXPECT_EQ(resumed->Series("loss"), losses);
}

INSTANTIATE_TEST_SUITE_P(Cases, CudaTrainingTest, testing::ValuesIn(LayoutCases()),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace weft
