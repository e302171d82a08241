// What a rank does with its tensors it does through kernels, communicators and copies alone: steps
// run on memory that the host may not touch, as on a device, and give the bits of any other run.

#include <gtest/gtest.h>

#include <vector>

#include "tests/runtime/layout_cases.h"
#include "tests/runtime/run_ranks.h"
#include "tests/runtime/tiny_job.h"
#include "tests/support/guarded_memory.h"
#include "tests/support/spawn_ranks.h"

namespace weft {
namespace {

class GuardedMemoryTest : public testing::TestWithParam<LayoutCase> {};

TEST_P(GuardedMemoryTest, StepsTouchTensorsThroughKernelsAlone) {
  for (const Precision precision : {Precision::kFp32, Precision::kBf16}) {
    TinyJob job = GetParam().job();
    job.model.precision = precision;
    job.steps = 3;
    job.forward_degree = 2;
    job.backward_degree = 3;
    job.slices = 2;
    const std::vector<TinyResult> anywhere = RunRanks(job);
    job.guarded = true;
    const std::vector<TinyResult> guarded = RunRanks(job);
    for (size_t rank = 0; rank < guarded.size(); ++rank) {
      EXPECT_EQ(guarded[rank].losses, anywhere[rank].losses);
      EXPECT_EQ(guarded[rank].norms, anywhere[rank].norms);
      EXPECT_EQ(guarded[rank].values, anywhere[rank].values);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, GuardedMemoryTest, testing::ValuesIn(LayoutCases()),
                         [](const auto& test) { return test.param.name; });

TEST(GuardedMemoryDeathTest, WhoeverTouchesItDies) {
  GuardedMemory memory;
  auto* const number = static_cast<float*>(memory.Allocate(64));
  EXPECT_DEATH(*number = 1, "");
  float value = 2;
  memory.FromHost(View(&value, {1}), View(number, {1}));
  EXPECT_DEATH(value = *number, "");
  memory.ToHost(View(number, {1}), View(&value, {1}));
  EXPECT_EQ(value, 2);
}

}  // namespace
}  // namespace weft
