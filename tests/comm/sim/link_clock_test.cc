#include "comm/sim/link_clock.h"

#include "gtest/gtest.h"

namespace weft {
namespace {

TEST(LinkClockTest, TransfersQueueInTheOrderTheyAsk) {
  LinkClock link;
  EXPECT_EQ(link.Reserve(1000, 50), 1000);
  EXPECT_EQ(link.Reserve(1010, 30), 1050);
  EXPECT_EQ(link.Reserve(1020, 5), 1080);
  EXPECT_EQ(link.Reserve(2000, 5), 2000);  // free again
}

TEST(LinkClockTest, ALatePeerHoldsTheLinkLonger) {
  LinkClock link;
  link.Reserve(1000, 50);
  link.HoldUntil(1200);
  EXPECT_EQ(link.Reserve(1060, 10), 1200);
  link.HoldUntil(900);  // never earlier
  EXPECT_EQ(link.Reserve(1060, 10), 1210);
}

}  // namespace
}  // namespace weft
