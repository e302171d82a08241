#include "launch/control/beat.h"

#include <gtest/gtest.h>

#include <atomic>

namespace weft {
namespace {

TEST(BeatTest, BeatsAtOnceAndWhenWoken) {
  std::atomic<int> count = 0;
  OnceEvent first;
  OnceEvent second;
  Beat beat(absl::Hours(10), [&] {
    if (++count == 1) {
      first.Set();
    } else {
      second.Set();
    }
  });
  ASSERT_TRUE(first.Wait(absl::Seconds(60)));
  EXPECT_FALSE(second.happened());
  beat.Wake();
  EXPECT_TRUE(second.Wait(absl::Seconds(60)));
}

TEST(BeatTest, BeatsAgainAndAgain) {
  std::atomic<int> count = 0;
  OnceEvent fifth;
  Beat beat(absl::Milliseconds(1), [&] {
    if (++count == 5) fifth.Set();
  });
  EXPECT_TRUE(fifth.Wait(absl::Seconds(60)));
}

TEST(BeatTest, AWakeDuringABeatIsNotLost) {
  OnceEvent again;
  std::atomic<int> count = 0;
  Beat* self = nullptr;
  OnceEvent assigned;
  Beat beat(absl::Hours(10), [&] {
    assigned.Wait(absl::Seconds(60));
    if (++count == 1) {
      self->Wake();
    } else {
      again.Set();
    }
  });
  self = &beat;
  assigned.Set();
  EXPECT_TRUE(again.Wait(absl::Seconds(60)));
}

TEST(BeatTest, NoBeatFollowsStop) {
  std::atomic<int> count = 0;
  OnceEvent first;
  Beat beat(absl::Microseconds(1), [&] {
    ++count;
    first.Set();
  });
  ASSERT_TRUE(first.Wait(absl::Seconds(60)));
  beat.Stop();
  const int stopped_at = count;
  beat.Wake();
  beat.Stop();
  EXPECT_EQ(count, stopped_at);
}

TEST(OnceEventTest, WaitEndsWithoutTheEvent) {
  const OnceEvent never;
  EXPECT_FALSE(never.Wait(absl::Milliseconds(1)));
}

}  // namespace
}  // namespace weft
