#include "tensor/device/cpu/cpu_stream.h"

#include <atomic>
#include <vector>

#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"

namespace weft {
namespace {

Stream::Work Append(std::vector<int>& order, int value) {
  return [&order, value] {
    order.push_back(value);
    return absl::OkStatus();
  };
}

TEST(CpuStreamTest, RunsInOrder) {
  CpuStream stream("test");
  std::vector<int> order, expected;
  for (int i = 0; i < 200; ++i) {
    ASSERT_TRUE(stream.Enqueue(Append(order, i)).ok());
    expected.push_back(i);
  }
  EXPECT_TRUE(stream.Synchronize().ok());
  EXPECT_EQ(order, expected);
}

TEST(CpuStreamTest, EnqueueDoesNotWaitForTheWork) {
  CpuStream stream("test");
  absl::Notification release;
  std::atomic<bool> ran{false};
  ASSERT_TRUE(stream
                  .Enqueue([&] {
                    release.WaitForNotification();
                    ran = true;
                    return absl::OkStatus();
                  })
                  .ok());
  EXPECT_FALSE(ran);
  release.Notify();
  EXPECT_TRUE(stream.Synchronize().ok());
  EXPECT_TRUE(ran);
}

TEST(CpuStreamTest, EventsOrderStreams) {
  CpuStream producer("producer"), consumer("consumer");
  absl::Notification release;
  std::vector<int> order;
  ASSERT_TRUE(producer
                  .Enqueue([&] {
                    release.WaitForNotification();
                    order.push_back(1);
                    return absl::OkStatus();
                  })
                  .ok());
  absl::StatusOr<std::shared_ptr<Event>> event = producer.Record();
  ASSERT_TRUE(event.ok());
  EXPECT_FALSE((*event)->Reached());
  ASSERT_TRUE(consumer.Wait(*event).ok());
  ASSERT_TRUE(consumer.Enqueue(Append(order, 2)).ok());
  release.Notify();
  EXPECT_TRUE(consumer.Synchronize().ok());
  EXPECT_TRUE((*event)->Reached());
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
  EXPECT_TRUE(producer.Synchronize().ok());
}

TEST(CpuStreamTest, ReachedEventsDoNotBlock) {
  CpuStream producer("producer"), consumer("consumer");
  absl::StatusOr<std::shared_ptr<Event>> event = producer.Record();
  ASSERT_TRUE(event.ok());
  ASSERT_TRUE(producer.Synchronize().ok());
  EXPECT_TRUE((*event)->Reached());
  ASSERT_TRUE(consumer.Wait(*event).ok());
  ASSERT_TRUE(consumer.Wait(*event).ok());  // as often as one likes
  EXPECT_TRUE(consumer.Synchronize().ok());
}

TEST(CpuStreamTest, AnErrorPoisonsAndIsReportedOnce) {
  CpuStream stream("test");
  std::vector<int> order;
  ASSERT_TRUE(stream.Enqueue(Append(order, 1)).ok());
  ASSERT_TRUE(stream.Enqueue([] { return absl::DataLossError("first"); }).ok());
  ASSERT_TRUE(stream.Enqueue([] { return absl::InternalError("second"); }).ok());
  ASSERT_TRUE(stream.Enqueue(Append(order, 2)).ok());
  EXPECT_EQ(stream.Synchronize(), absl::DataLossError("first"));
  EXPECT_EQ(order, (std::vector<int>{1}));
  EXPECT_TRUE(stream.Synchronize().ok());
  ASSERT_TRUE(stream.Enqueue(Append(order, 3)).ok());
  EXPECT_TRUE(stream.Synchronize().ok());
  EXPECT_EQ(order, (std::vector<int>{1, 3}));
}

// Another stream may wait for it: a poisoned stream that kept its events would hang the whole rank.
TEST(CpuStreamTest, EventsFireOnAPoisonedStream) {
  CpuStream broken("broken"), other("other");
  ASSERT_TRUE(broken.Enqueue([] { return absl::InternalError("broken"); }).ok());
  absl::StatusOr<std::shared_ptr<Event>> event = broken.Record();
  ASSERT_TRUE(event.ok());
  ASSERT_TRUE(other.Wait(*event).ok());
  EXPECT_TRUE(other.Synchronize().ok());
  EXPECT_FALSE(broken.Synchronize().ok());
}

TEST(CpuStreamTest, DestructionRunsWhatIsQueued) {
  std::vector<int> order;
  {
    CpuStream stream("test");
    for (int i = 0; i < 50; ++i) ASSERT_TRUE(stream.Enqueue(Append(order, i)).ok());
  }
  EXPECT_EQ(order.size(), 50u);
}

TEST(CpuStreamTest, CapturedStateDiesWithItsWork) {
  CpuStream stream("test");
  auto state = std::make_shared<int>(1);
  const std::weak_ptr<int> watch = state;
  ASSERT_TRUE(stream.Enqueue([state] { return absl::OkStatus(); }).ok());
  state.reset();
  ASSERT_TRUE(stream.Synchronize().ok());
  EXPECT_TRUE(watch.expired());
}

TEST(CpuStreamTest, SkippedWorkReleasesItsState) {
  CpuStream stream("test");
  auto state = std::make_shared<int>(1);
  const std::weak_ptr<int> watch = state;
  ASSERT_TRUE(stream.Enqueue([] { return absl::InternalError("broken"); }).ok());
  ASSERT_TRUE(stream.Enqueue([state] { return absl::OkStatus(); }).ok());
  state.reset();
  EXPECT_FALSE(stream.Synchronize().ok());
  EXPECT_TRUE(watch.expired());
}

class ForeignEvent final : public Event {
 public:
  bool Reached() const override { return true; }
};

TEST(CpuStreamTest, RefusesEventsOfOtherDevices) {
  CpuStream stream("test");
  EXPECT_EQ(stream.Wait(std::make_shared<ForeignEvent>()).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(stream.Wait(nullptr).code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace weft
