#include "comm/sim/sim_communicator.h"

#include <thread>

#include "absl/strings/match.h"
#include "base/clock.h"
#include "base/status_macros.h"
#include "comm/sim/sim_backend.h"
#include "gtest/gtest.h"
#include "tests/support/spawn_ranks.h"

// An emulated transfer never takes less than its link allows; how much more depends on the machine
// and is not asserted.

namespace weft {
namespace {

constexpr EmulatedLinkModel kSlow = {1e6, 2e-3};  // 1 MB/s, 2 ms

DecorateBackend Behind(const SimLinkRule& rule) {
  return [rule](std::unique_ptr<Backend> inner) -> std::unique_ptr<Backend> {
    return std::make_unique<SimBackend>(std::move(inner), rule);
  };
}

SimLink SlowLink(const std::vector<RankId>&) { return {1, kSlow}; }

absl::Status Broadcast(Communicator& comm, int64_t bytes) {
  std::vector<uint8_t> data(static_cast<size_t>(bytes));
  return comm.Broadcast(View(data.data(), {bytes}), 0);
}

TEST(EmulatedLinkModelTest, PaysLatencyAStepAndBandwidthAByte) {
  EXPECT_EQ(kSlow.Nanos({1, 0}), 2000000);
  EXPECT_EQ(kSlow.Nanos({2, 500}), 4000000 + 500000);
  EXPECT_EQ(kSlow.Nanos({1, 0, 7}), 2000000);  // a message costs nothing unless the model says so
  EXPECT_EQ((EmulatedLinkModel{1e6, 2e-3, 1e-4}.Nanos({1, 500, 7})), 2000000 + 500000 + 700000);
}

// The member with the most messages makes everyone wait.
TEST(SimCommunicatorTest, EndsWhenTheBusiestMemberHasHandledItsMessages) {
  static constexpr EmulatedLinkModel kDear = {1e9, 0, 4e-3};
  const absl::Status status = SpawnRanks(
      4,
      [](Backend& backend) -> absl::Status {
        const std::vector<RankId> all = {RankId{0}, RankId{1}, RankId{2}, RankId{3}};
        WEFT_ASSIGN_OR_RETURN(auto comm, backend.Connect("world", all, absl::Seconds(60)));
        const int64_t began = MonotonicClock().NowNanos();
        WEFT_RETURN_IF_ERROR(Broadcast(*comm, 10));
        EXPECT_GE(MonotonicClock().NowNanos(), began + 3 * 4000000);
        return absl::OkStatus();
      },
      Behind([](const std::vector<RankId>&) {
        return SimLink{0, kDear};
      }));
  EXPECT_TRUE(status.ok()) << status;
}

TEST(SimCommunicatorTest, NobodyEndsBeforeTheLastStartPlusTheTransfer) {
  const absl::Status status = SpawnRanks(
      3,
      [](Backend& backend) -> absl::Status {
        const std::vector<RankId> all = {RankId{0}, RankId{1}, RankId{2}};
        WEFT_ASSIGN_OR_RETURN(auto comm, backend.Connect("world", all, absl::Seconds(60)));
        const int64_t began = MonotonicClock().NowNanos();
        WEFT_RETURN_IF_ERROR(Broadcast(*comm, 4000));
        const int64_t ended = MonotonicClock().NowNanos();
        int64_t last_begin = began;
        WEFT_RETURN_IF_ERROR(comm->AllReduce(View(&last_begin, {1}), ReduceOp::kMax));
        EXPECT_GE(ended, last_begin + kSlow.Nanos({1, 8000}));
        return absl::OkStatus();
      },
      Behind(SlowLink));
  EXPECT_TRUE(status.ok()) << status;
}

TEST(SimCommunicatorTest, TransfersOfOneLinkClassQueueOnARank) {
  const absl::Status status = SpawnRanks(
      2,
      [](Backend& backend) -> absl::Status {
        const std::vector<RankId> all = {RankId{0}, RankId{1}};
        WEFT_ASSIGN_OR_RETURN(auto first, backend.Connect("first", all, absl::Seconds(60)));
        WEFT_ASSIGN_OR_RETURN(auto second, backend.Connect("second", all, absl::Seconds(60)));
        const int64_t began = MonotonicClock().NowNanos();
        absl::Status other;
        std::thread thread([&] { other = Broadcast(*second, 5000); });
        const absl::Status mine = Broadcast(*first, 5000);
        thread.join();
        EXPECT_GE(MonotonicClock().NowNanos(), began + 2 * kSlow.Nanos({1, 5000}));
        WEFT_RETURN_IF_ERROR(mine);
        return other;
      },
      Behind(SlowLink));
  EXPECT_TRUE(status.ok()) << status;
}

// A transfer of an hour delays its own link class only.
TEST(SimCommunicatorTest, LinkClassesAreIndependent) {
  const SimLinkRule rule = [](const std::vector<RankId>& ranks) {
    return ranks.size() == 2 ? SimLink{0, {1e9, 0}} : SimLink{1, {1e9, 3600}};
  };
  const absl::Status status = SpawnRanks(
      3,
      [](Backend& backend) -> absl::Status {
        const std::vector<RankId> all = {RankId{0}, RankId{1}, RankId{2}};
        const bool paired = backend.rank() < 2;
        const std::vector<RankId> some =
            paired ? std::vector<RankId>{RankId{0}, RankId{1}} : std::vector<RankId>{RankId{2}};
        WEFT_ASSIGN_OR_RETURN(auto slow, backend.Connect("slow", all, absl::Seconds(60)));
        WEFT_ASSIGN_OR_RETURN(auto fast, backend.Connect("fast", some, absl::Seconds(60)));
        absl::Status slow_status;
        std::thread thread([&] { slow_status = slow->Barrier(); });
        for (int round = 0; round < 20; ++round) WEFT_CHECK(fast->Barrier().ok(), "fast barrier");
        slow->Abort(absl::CancelledError("seen enough"));
        thread.join();
        EXPECT_TRUE(absl::IsAborted(slow_status)) << slow_status;
        return absl::OkStatus();
      },
      Behind(rule));
  EXPECT_TRUE(status.ok()) << status;
}

// Every member has arrived and only the emulated time, an hour, is left to wait for.
TEST(SimBackendTest, AbortEndsAnEmulatedWaitAtOnce) {
  const SimLinkRule hour = [](const std::vector<RankId>&) { return SimLink{0, {1e9, 3600}}; };
  const absl::Status status = SpawnRanks(
      2,
      [](Backend& backend) -> absl::Status {
        const std::vector<RankId> all = {RankId{0}, RankId{1}};
        WEFT_ASSIGN_OR_RETURN(auto comm, backend.Connect("world", all, absl::Seconds(60)));
        absl::Status waited;
        std::thread waiter([&] { waited = comm->Barrier(); });
        backend.Abort(absl::UnavailableError("node b is gone"));
        waiter.join();
        EXPECT_TRUE(absl::IsAborted(waited)) << waited;
        EXPECT_TRUE(absl::StrContains(waited.ToString(), "node b is gone")) << waited;
        return absl::OkStatus();
      },
      Behind(hour));
  EXPECT_TRUE(status.ok()) << status;
}

TEST(SimCommunicatorTest, AGroupOfOneUsesNoLink) {
  const SimLinkRule hour = [](const std::vector<RankId>&) { return SimLink{0, {1e9, 3600}}; };
  const absl::Status status = SpawnRanks(
      1,
      [](Backend& backend) -> absl::Status {
        WEFT_ASSIGN_OR_RETURN(auto comm, backend.Connect("one", {RankId{0}}, absl::Seconds(60)));
        return comm->Barrier();
      },
      Behind(hour));
  EXPECT_TRUE(status.ok()) << status;
}

}  // namespace
}  // namespace weft
