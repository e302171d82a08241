#include "runtime/paced_program.h"

#include <cmath>
#include <ctime>

#include "base/clock.h"

namespace weft {
namespace {

constexpr int64_t kSecond = 1'000'000'000;

// Processor time of the calling thread.
int64_t UsedNanos() {
  timespec now = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return int64_t{now.tv_sec} * kSecond + now.tv_nsec;
}

}  // namespace

absl::Status PacedProgram::Run(const Op& op, const PlanTask& task, double* size) {
  if (op.key.group != GroupKind::kNone) return program_.Run(op, task, size);
  const int64_t begin = MonotonicClock().NowNanos();
  const int64_t used = UsedNanos();
  absl::Status status = program_.Run(op, task, size);
  const auto own = static_cast<double>(UsedNanos() - used);
  rest_.WaitUntil(begin + std::llround(own / share_));
  return status;
}

}  // namespace weft
