#include "runtime/paced_program.h"

#include <cerrno>
#include <cmath>
#include <ctime>

namespace weft {
namespace {

constexpr int64_t kSecond = 1'000'000'000;

int64_t Nanos(clockid_t clock) {
  timespec now = {};
  clock_gettime(clock, &now);
  return int64_t{now.tv_sec} * kSecond + now.tv_nsec;
}

void WaitUntil(int64_t nanos) {
  const timespec until = {.tv_sec = nanos / kSecond, .tv_nsec = nanos % kSecond};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr) == EINTR) {
  }
}

}  // namespace

absl::Status PacedProgram::Run(const Op& op, const PlanTask& task, double* size) {
  if (op.key.group != GroupKind::kNone) return program_.Run(op, task, size);
  const int64_t begin = Nanos(CLOCK_MONOTONIC);
  const int64_t used = Nanos(CLOCK_THREAD_CPUTIME_ID);
  absl::Status status = program_.Run(op, task, size);
  const auto own = static_cast<double>(Nanos(CLOCK_THREAD_CPUTIME_ID) - used);
  WaitUntil(begin + std::llround(own / share_));
  return status;
}

}  // namespace weft
