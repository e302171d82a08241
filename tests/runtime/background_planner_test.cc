#include "runtime/background_planner.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "absl/synchronization/notification.h"
#include "base/thread_priority.h"
#include "gtest/gtest.h"

namespace weft {
namespace {

absl::StatusOr<ReplanOutcome> OutcomeOf(int64_t epoch) {
  ReplanOutcome outcome;
  outcome.decision.replace = true;
  outcome.plan.emplace().epoch = epoch;
  return outcome;
}

TEST(BackgroundPlannerTest, TheOutcomeArrivesOnceAndNobodyWaitsForIt) {
  BackgroundPlanner planner;
  planner.Wait();
  EXPECT_FALSE(planner.busy());
  EXPECT_FALSE(planner.Take(0)->has_value()) << "nothing was begun";
  for (const int64_t epoch : {0, 1}) {
    absl::Notification go;
    planner.Begin(epoch, [&go, epoch] {
      go.WaitForNotification();
      return OutcomeOf(epoch + 1);
    });
    EXPECT_TRUE(planner.busy());
    EXPECT_FALSE(planner.Take(epoch)->has_value()) << "it is still planning";
    go.Notify();
    planner.Wait();
    EXPECT_TRUE(planner.busy()) << "its outcome was not taken";
    const auto outcome = planner.Take(epoch);
    ASSERT_TRUE(outcome.ok()) << outcome.status();
    ASSERT_TRUE(outcome->has_value());
    EXPECT_EQ((*outcome)->plan->epoch, epoch + 1);
    EXPECT_FALSE(planner.busy());
    EXPECT_FALSE(planner.Take(epoch)->has_value());
  }
}

TEST(BackgroundPlannerTest, AnOutcomeThatWasComparedWithAnotherPlanIsDropped) {
  BackgroundPlanner planner;
  planner.Begin(3, [] { return OutcomeOf(4); });
  planner.Wait();
  const auto outcome = planner.Take(5);
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_FALSE(outcome->has_value());
  EXPECT_FALSE(planner.busy()) << "the next planning may begin";
}

TEST(BackgroundPlannerTest, AnErrorSaysBesideWhichPlan) {
  for (const int64_t running : {3, 5}) {
    BackgroundPlanner planner;
    planner.Begin(3, [] { return absl::InternalError("no order is legal"); });
    planner.Wait();
    const absl::Status error = planner.Take(running).status();
    EXPECT_EQ(error.code(), absl::StatusCode::kInternal);
    EXPECT_EQ(error.message(), "planning beside plan epoch 3: no order is legal");
    EXPECT_FALSE(planner.busy());
  }
}

TEST(BackgroundPlannerTest, ItsEndWaitsForThePlanning) {
  absl::Notification go;
  bool planned = false;
  {
    BackgroundPlanner planner;
    planner.Begin(0, [&] {
      go.WaitForNotification();
      planned = true;
      return OutcomeOf(1);
    });
    go.Notify();
  }
  EXPECT_TRUE(planned);
}

TEST(BackgroundPlannerTest, ThePlanningAloneStepsBack) {
  const auto nice = [] {
    return getpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)));
  };
  const int before = nice();
  int planning = 0;
  BackgroundPlanner planner;
  planner.Begin(0, [&] {
    planning = nice();
    return OutcomeOf(1);
  });
  planner.Wait();
  EXPECT_EQ(planning, kBackgroundNice);
  EXPECT_EQ(nice(), before);
}

}  // namespace
}  // namespace weft
