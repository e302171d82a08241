#include "runtime/background_planner.h"

#include <pthread.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "base/thread_priority.h"

namespace weft {

BackgroundPlanner::~BackgroundPlanner() {
  if (thread_.joinable()) thread_.join();
}

void BackgroundPlanner::Begin(int64_t epoch, Planning planning) {
  WEFT_CHECK(!busy(), "one planning at a time");
  epoch_ = epoch;
  done_.store(false, std::memory_order_relaxed);
  thread_ = std::thread([this, planning = std::move(planning)] {
    SetOwnNice(kBackgroundNice);
    outcome_ = planning();
    done_.store(true, std::memory_order_release);
    done_.notify_all();
  });
  pthread_setname_np(thread_.native_handle(), "planning");
}

absl::StatusOr<std::optional<ReplanOutcome>> BackgroundPlanner::Take(int64_t running_epoch) {
  if (!busy() || !done_.load(std::memory_order_acquire)) return std::nullopt;
  thread_.join();
  WEFT_RETURN_IF_ERROR(
      WithContext(outcome_.status(), absl::StrCat("planning beside plan epoch ", epoch_)));
  if (epoch_ != running_epoch) return std::nullopt;
  return *std::move(outcome_);
}

void BackgroundPlanner::Wait() const {
  if (busy()) done_.wait(false, std::memory_order_acquire);
}

}  // namespace weft
