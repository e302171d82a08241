#include "comm/nccl/nccl_handle.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "comm/nccl/nccl_error.h"

namespace weft {
namespace {

// So long a communicator waits at its end for peers that are still at work with it.
constexpr absl::Duration kFinishWithin = absl::Seconds(10);
// NCCL calls nobody back: who waits for it looks, at first often.
constexpr int kQuickLooks = 100;
constexpr absl::Duration kBetweenLooks = absl::Microseconds(100);

}  // namespace

NcclHandle::~NcclHandle() {
  std::thread aborter;
  {
    absl::MutexLock lock(&mutex_);
    if (comm_ != nullptr) {
      const absl::Time deadline = absl::Now() + kFinishWithin;
      const bool finished = Settle(nccl_.CommFinalize(comm_), deadline) == ncclSuccess;
      if (comm_ != nullptr) {
        if (finished) {
          nccl_.CommDestroy(comm_);
        } else {
          nccl_.CommAbort(comm_);
        }
      }
    }
    aborter = std::move(aborter_);
  }
  if (aborter.joinable()) aborter.join();
}

ncclResult_t NcclHandle::Settle(ncclResult_t result, absl::Time deadline) {
  for (int looks = 0; result == ncclInProgress && comm_ != nullptr; ++looks) {
    if (looks < kQuickLooks) {
      mutex_.Unlock();
      std::this_thread::yield();
      mutex_.Lock();
    } else if (absl::Now() >= deadline) {
      return ncclInProgress;
    } else {
      failed_.WaitWithTimeout(&mutex_, kBetweenLooks);
    }
    if (comm_ == nullptr) break;
    const ncclResult_t asked = nccl_.CommGetAsyncError(comm_, &result);
    if (asked != ncclSuccess) result = asked;
  }
  return result;
}

absl::Status NcclHandle::Run(const char* what, absl::Time deadline,
                             absl::FunctionRef<ncclResult_t(ncclComm_t)> call) {
  absl::MutexLock lock(&mutex_);
  if (!error_.ok()) return error_;
  const absl::Time begin = absl::Now();
  const ncclResult_t result = Settle(call(comm_), deadline);
  if (!error_.ok()) return error_;
  if (result == ncclInProgress) {
    return FailLocked(absl::DeadlineExceededError(
        absl::StrCat("NCCL: ", what, ": not done within ",
                     absl::FormatDuration(absl::Trunc(deadline - begin, absl::Milliseconds(1))))));
  }
  return FailLocked(NcclStatus(nccl_, comm_, result, what));
}

absl::Status NcclHandle::Health() {
  absl::MutexLock lock(&mutex_);
  if (!error_.ok()) return error_;
  ncclResult_t result = ncclSuccess;
  const ncclResult_t asked = nccl_.CommGetAsyncError(comm_, &result);
  if (asked != ncclSuccess) result = asked;
  if (result == ncclInProgress) return absl::OkStatus();
  return FailLocked(NcclStatus(nccl_, comm_, result, "a collective on the device"));
}

void NcclHandle::Fail(const absl::Status& error) {
  absl::MutexLock lock(&mutex_);
  FailLocked(error).IgnoreError();
}

absl::Status NcclHandle::FailLocked(const absl::Status& error) {
  if (error.ok() || !error_.ok()) return error_;
  error_ = error;
  failed_.SignalAll();
  aborter_ = std::thread(
      [this, comm = std::exchange(comm_, nullptr)] { static_cast<void>(nccl_.CommAbort(comm)); });
  return error_;
}

}  // namespace weft
