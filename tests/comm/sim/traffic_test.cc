#include "comm/sim/traffic.h"

#include <vector>

#include "base/all_reduce.h"
#include "gtest/gtest.h"

namespace weft {
namespace {

TEST(TrafficTest, SmallAllReduceSendsEverythingToEveryoneAtOnce) {
  EXPECT_EQ(AllReduceTraffic(10, 4, 3), (Traffic{1, 2 * 40, 2}));
  EXPECT_EQ(AllReduceTraffic(kOneStepAllReduceBytes / 4, 4, 2),
            (Traffic{1, kOneStepAllReduceBytes, 1}));
  EXPECT_EQ(AllReduceTraffic(kOneStepAllReduceBytes / 12, 4, 4), (Traffic{1, 3 * 1365 * 4, 3}));
  EXPECT_EQ(AllReduceTraffic(0, 4, 3), (Traffic{1, 0, 0}));
}

TEST(TrafficTest, LargeAllReduceMovesEachBlockTwice) {
  EXPECT_EQ(AllReduceTraffic(kOneStepAllReduceBytes / 4 + 1, 4, 2), (Traffic{2, 2 * 2049 * 4, 2}));
  EXPECT_EQ(AllReduceTraffic(kOneStepAllReduceBytes / 12 + 1, 4, 4),
            (Traffic{2, 2 * 3 * 342 * 4, 6}));
  EXPECT_EQ(AllReduceTraffic(1000000, 4, 4), (Traffic{2, 2 * 3 * 250000 * 4, 6}));
  EXPECT_EQ(AllReduceTraffic(1000001, 8, 4), (Traffic{2, 2 * 3 * 250001 * 8, 6}));
}

TEST(TrafficTest, AllGatherSendsItsBlockToEveryPeer) {
  EXPECT_EQ(AllGatherTraffic(100, 4), (Traffic{1, 300, 3}));
  EXPECT_EQ(AllGatherTraffic(0, 4), (Traffic{1, 0, 0}));
}

TEST(TrafficTest, AllGatherVCountsTheBusierDirection) {
  const std::vector<int64_t> rows = {10, 1, 0};
  EXPECT_EQ(AllGatherVTraffic(rows, 8, 0), (Traffic{1, 20 * 8, 2}));  // sends 2 x 10, receives 1
  EXPECT_EQ(AllGatherVTraffic(rows, 8, 1), (Traffic{1, 10 * 8, 2}));  // sends 2 x 1, receives 10
  EXPECT_EQ(AllGatherVTraffic(rows, 8, 2), (Traffic{1, 11 * 8, 2}));  // only receives
}

TEST(TrafficTest, ReduceScatterVIsTheAllGatherBackwards) {
  const std::vector<int64_t> rows = {10, 1, 0};
  EXPECT_EQ(ReduceScatterVTraffic(rows, 4, 0),
            (Traffic{1, 20 * 4, 2}));  // sends 1, receives 2 x 10
  EXPECT_EQ(ReduceScatterVTraffic(rows, 4, 2), (Traffic{1, 11 * 4, 2}));  // only sends
}

TEST(TrafficTest, AllToAllVIgnoresOwnRows) {
  const std::vector<int64_t> send = {100, 2, 3};
  const std::vector<int64_t> recv = {100, 4, 5};
  EXPECT_EQ(AllToAllVTraffic(send, recv, 16, 0), (Traffic{1, 9 * 16, 2}));
  EXPECT_EQ(AllToAllVTraffic(recv, send, 16, 0), (Traffic{1, 9 * 16, 2}));
  const std::vector<int64_t> none = {7, 0, 0};
  EXPECT_EQ(AllToAllVTraffic(none, none, 16, 0), (Traffic{1, 0, 0}));
  const std::vector<int64_t> to_one = {7, 5, 0};
  EXPECT_EQ(AllToAllVTraffic(to_one, none, 16, 0), (Traffic{1, 5 * 16, 1}));
  EXPECT_EQ(AllToAllVTraffic(none, to_one, 16, 0), (Traffic{1, 5 * 16, 1}));
}

TEST(TrafficTest, BroadcastIsTheRootsBurden) {
  EXPECT_EQ(BroadcastTraffic(100, 4, true), (Traffic{1, 300, 3}));
  EXPECT_EQ(BroadcastTraffic(100, 4, false), (Traffic{1, 100, 1}));
  EXPECT_EQ(BroadcastTraffic(0, 4, true), (Traffic{1, 0, 0}));
  EXPECT_EQ(BarrierTraffic(), (Traffic{1, 0, 0}));
}

}  // namespace
}  // namespace weft
