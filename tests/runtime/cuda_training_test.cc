// Steps on a CUDA device train the model that steps on the CPU train, in every layout: ranks are
// threads that share the device.

#include <gtest/gtest.h>

#include <cmath>

#include "tests/runtime/layout_cases.h"

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

INSTANTIATE_TEST_SUITE_P(Cases, CudaTrainingTest, testing::ValuesIn(LayoutCases()),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace weft
