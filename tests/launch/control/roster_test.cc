#include "launch/control/roster.h"

#include <gtest/gtest.h>

namespace weft {
namespace {

constexpr int64_t kSecond = 1'000'000'000;

Roster MakeRoster(int32_t size) { return Roster(size, absl::Seconds(5), absl::Seconds(60), 0); }

// Looks every second, as a running process does, with `heard` heard of each time.
std::optional<int32_t> LookUntil(Roster& roster, int64_t from, int64_t until,
                                 const std::vector<int32_t>& heard) {
  for (int64_t second = from; second <= until; ++second) {
    for (const int32_t member : heard) roster.Hear(member, second * kSecond);
    const std::optional<int32_t> overdue = roster.FindOverdue(second * kSecond);
    if (overdue.has_value()) return overdue;
  }
  return std::nullopt;
}

TEST(RosterTest, FindsTheMemberThatFellSilentBeyondTheDeadline) {
  Roster roster = MakeRoster(3);
  EXPECT_EQ(LookUntil(roster, 1, 10, {0, 1, 2}), std::nullopt);
  EXPECT_EQ(LookUntil(roster, 11, 15, {0, 2}), std::nullopt);  // exactly 5 s are allowed
  EXPECT_EQ(LookUntil(roster, 16, 16, {0, 2}), 1);
  EXPECT_EQ(roster.Silence(1, 16 * kSecond), absl::Seconds(6));
}

TEST(RosterTest, NamesTheLongestSilentOfSeveral) {
  Roster roster = MakeRoster(3);
  roster.Hear(0, 3 * kSecond);
  roster.Hear(1, 1 * kSecond);
  roster.Hear(2, 2 * kSecond);
  EXPECT_EQ(LookUntil(roster, 3, 6, {}), std::nullopt);
  roster.FindOverdue(8 * kSecond);
  EXPECT_EQ(roster.FindOverdue(10 * kSecond), 1);
}

TEST(RosterTest, GivesLongerToJoinThanToBeSilent) {
  Roster roster = MakeRoster(2);
  EXPECT_EQ(LookUntil(roster, 1, 60, {0}), std::nullopt);
  EXPECT_EQ(LookUntil(roster, 61, 61, {0}), 1);
  EXPECT_FALSE(roster.heard(1));
}

TEST(RosterTest, AMemberThatLeftIsNeverOverdue) {
  Roster roster = MakeRoster(2);
  roster.Hear(1, kSecond);
  roster.Leave(1);
  EXPECT_EQ(LookUntil(roster, 1, 100, {0}), std::nullopt);
}

TEST(RosterTest, BlamesNobodyForTheTimeThisProcessDidNotRun) {
  Roster roster = MakeRoster(1);
  EXPECT_EQ(LookUntil(roster, 1, 10, {0}), std::nullopt);
  EXPECT_EQ(roster.FindOverdue(1000 * kSecond), std::nullopt);
  // Real silence counts on from there: 2.5 s of the gap and what follows.
  EXPECT_EQ(LookUntil(roster, 1001, 1002, {}), std::nullopt);
  EXPECT_EQ(LookUntil(roster, 1003, 1003, {}), 0);
}

TEST(RosterTest, WaitsForAllToLeaveOfASoundJobAndForListenersOfAFailedOne) {
  Roster roster = MakeRoster(3);
  roster.Hear(0, 0);
  roster.Hear(1, 0);
  roster.Hear(2, 0);
  roster.Leave(0);
  roster.Tell(1);
  EXPECT_EQ(roster.Pending(/*failed=*/false, kSecond), (std::vector<int32_t>{1, 2}));
  EXPECT_EQ(roster.Pending(/*failed=*/true, kSecond), (std::vector<int32_t>{2}));
  EXPECT_TRUE(roster.Pending(/*failed=*/true, 6 * kSecond).empty());  // 2 is lost itself
}

}  // namespace
}  // namespace weft
