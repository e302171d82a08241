#pragma once

#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "comm/nccl/nccl_library.h"

namespace weft {

// One of NCCL's communicators, made so that its calls do not block (ncclConfig_t.blocking = 0): a
// call that needs more time is asked after until it is done, so that an abort from another thread
// always gets through. The first error stays and ends what the communicator does on the device.
// Thread-safe.
class NcclHandle {
 public:
  // Takes `comm` over. `nccl` outlives it.
  NcclHandle(const NcclLibrary& nccl, ncclComm_t comm) : nccl_(nccl), comm_(comm) {}
  // Lets what was enqueued end, for a while at most.
  ~NcclHandle();
  NcclHandle(const NcclHandle&) = delete;
  NcclHandle& operator=(const NcclHandle&) = delete;

  // Makes the call and waits until NCCL has done it: collectives are then in their stream.
  // kDeadlineExceeded when that takes longer than until `deadline`; otherwise the first error.
  absl::Status Run(const char* what, absl::Time deadline,
                   absl::FunctionRef<ncclResult_t(ncclComm_t)> call);
  // OK until the first error; those that NCCL finds by itself (a link, a peer) are found here.
  absl::Status Health();
  // Never blocks for long: the end on the device is made by a thread of its own.
  void Fail(const absl::Status& error);

 private:
  // Asks until the call that gave `result` is done, an error has come, or until `deadline`.
  ncclResult_t Settle(ncclResult_t result, absl::Time deadline)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status FailLocked(const absl::Status& error) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const NcclLibrary& nccl_;
  absl::Mutex mutex_;
  absl::CondVar failed_;
  ncclComm_t comm_ ABSL_GUARDED_BY(mutex_);  // null after an error
  absl::Status error_ ABSL_GUARDED_BY(mutex_);
  std::thread aborter_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace weft
