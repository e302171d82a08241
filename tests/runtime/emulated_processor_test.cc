#include "runtime/emulated_processor.h"

#include "base/thread_clock.h"
#include "gtest/gtest.h"

namespace weft {
namespace {

constexpr int64_t kMillisecond = 1'000'000;

void ComputeFor(int64_t nanos) {
  const int64_t begin = ThreadClock().NowNanos();
  while (ThreadClock().NowNanos() < begin + nanos) {
  }
}

// Lower limits only: a busy machine may take longer.
TEST(EmulatedProcessorTest, ComputationTakesItsTimeByTheShare) {
  EmulatedProcessor processor(0.05);
  const int64_t ready = MonotonicClock().NowNanos();
  EXPECT_EQ(processor.Begin(ready), ready);
  ComputeFor(kMillisecond);
  processor.End();
  EXPECT_GE(MonotonicClock().NowNanos() - ready, 20 * kMillisecond);
}

TEST(EmulatedProcessorTest, TimeIsFromWhenTheNeedsHadEnded) {
  EmulatedProcessor processor(0.5);
  const int64_t ready = MonotonicClock().NowNanos() - 60'000 * kMillisecond;
  EXPECT_EQ(processor.Begin(ready), ready);
  const int64_t began = MonotonicClock().NowNanos();
  ComputeFor(kMillisecond);
  processor.End();  // which was due a minute ago
  const int64_t ended = MonotonicClock().NowNanos();
  EXPECT_LT(ended - began, 30'000 * kMillisecond);

  // The next one is late as well, but its span does not reach into the one before.
  const int64_t second = processor.Begin(ready);
  EXPECT_GE(second, began + kMillisecond);
  EXPECT_LE(second, ended);
  processor.End();
}

TEST(EmulatedProcessorTest, OneComputationAfterAnother) {
  EmulatedProcessor processor(0.01);
  const int64_t ready = MonotonicClock().NowNanos();
  for (int i = 0; i < 2; ++i) {
    processor.Begin(ready);
    ComputeFor(kMillisecond / 10);
    processor.End();
  }
  EXPECT_GE(MonotonicClock().NowNanos() - ready, 20 * kMillisecond);
}

}  // namespace
}  // namespace weft
