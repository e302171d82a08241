#pragma once

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "base/file_descriptor.h"

namespace weft {

// What ends the waits of one exchange: its first error. A descriptor that becomes readable with it
// stands in every poll, so that an abort from another thread is noticed at once. Thread-safe.
class WaitEnd {
 public:
  WaitEnd();

  // OK until the first error.
  absl::Status status() const;
  // The first error stays. REQUIRES: `status` is an error.
  void Fail(const absl::Status& status);
  int fd() const { return event_.get(); }

 private:
  const FileDescriptor event_;
  mutable absl::Mutex mutex_;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace weft
