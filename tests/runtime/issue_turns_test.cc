#include "runtime/issue_turns.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace weft {
namespace {

TEST(IssueTurnsTest, TurnsComeInTheOrderInWhichTheyWereTaken) {
  constexpr int kTurns = 60;
  constexpr int kThreads = 3;
  IssueTurns order;
  for (int step = 0; step < 3; ++step) {
    order.Begin();
    std::vector<std::shared_ptr<IssueTurns::Turn>> turns;
    turns.reserve(kTurns);
    for (int i = 0; i < kTurns; ++i) turns.push_back(order.Take());
    std::vector<int> seen;  // by whose turn it is
    std::vector<std::thread> threads;
    threads.reserve(kThreads);
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        for (int i = t; i < kTurns; i += kThreads) {
          turns[static_cast<size_t>(i)]->Await();
          seen.push_back(i);
          turns[static_cast<size_t>(i)]->Pass();
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    ASSERT_EQ(seen.size(), static_cast<size_t>(kTurns));
    for (int i = 0; i < kTurns; ++i) EXPECT_EQ(seen[static_cast<size_t>(i)], i);
  }
}

// Work that its stream skips is destroyed without having run.
TEST(IssueTurnsTest, ATurnThatDiesHoldsUpNobody) {
  IssueTurns order;
  order.Begin();
  auto first = order.Take();
  auto second = order.Take();
  const auto third = order.Take();
  second = nullptr;
  std::atomic<bool> came{false};
  std::thread waiter([&] {
    third->Await();
    came = true;
  });
  EXPECT_FALSE(came);  // the first has not passed
  first = nullptr;
  waiter.join();
  EXPECT_TRUE(came);
}

TEST(IssueTurnsTest, AfterAFailureNobodyWaits) {
  IssueTurns order;
  order.Begin();
  const auto first = order.Take();
  const auto second = order.Take();
  std::thread waiter([&] { second->Await(); });
  order.LetGo();
  waiter.join();
}

}  // namespace
}  // namespace weft
