#include "runtime/paced_program.h"

#include <ctime>

#include "gtest/gtest.h"

namespace weft {
namespace {

double Now(clockid_t clock) {
  timespec now = {};
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// Computes for a millisecond of its own time.
class Busy final : public StepProgram {
 public:
  absl::Status Prepare(const StepGraph&, const Plan&) override { return absl::OkStatus(); }
  absl::Status Run(const Op&, const PlanTask& task, double* size) override {
    const double begin = Now(CLOCK_THREAD_CPUTIME_ID);
    while (Now(CLOCK_THREAD_CPUTIME_ID) < begin + 1e-3) {
    }
    *size = 7;
    return task.chunk == 0 ? absl::OkStatus() : absl::AbortedError("as told");
  }
};

double SecondsOf(StepProgram& program, const Op& op) {
  double size = 0;
  const double begin = Now(CLOCK_MONOTONIC);
  EXPECT_TRUE(program.Run(op, {}, &size).ok());
  EXPECT_EQ(size, 7);
  return Now(CLOCK_MONOTONIC) - begin;
}

// Lower limits only: a busy machine may take longer.
TEST(PacedProgramTest, ComputationTakesItsTimeByTheShare) {
  Busy busy;
  PacedProgram paced(busy, 0.05);
  EXPECT_GE(SecondsOf(paced, {}), 0.02);
}

TEST(PacedProgramTest, CollectivesAreLeftAlone) {
  Busy busy;
  PacedProgram paced(busy, 1e-6);  // a computation would take a quarter of an hour
  Op op;
  op.key.group = GroupKind::kEp;
  SecondsOf(paced, op);
}

TEST(PacedProgramTest, ErrorsPass) {
  Busy busy;
  PacedProgram paced(busy, 0.5);
  double size = 0;
  PlanTask task;
  task.chunk = 1;
  EXPECT_EQ(paced.Run({}, task, &size).code(), absl::StatusCode::kAborted);
}

}  // namespace
}  // namespace weft
