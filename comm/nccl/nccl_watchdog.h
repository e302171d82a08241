#pragma once

#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace weft {

// Looks after the communicators of one backend: a collective on a device has no caller who could
// find out that it does not end. Thread-safe.
class NcclWatchdog {
 public:
  class Watched {
   public:
    virtual ~Watched() = default;
    // Looks whether all is well. Returns when to look next; never, when nothing is under way. Does
    // not block and does not call the watchdog.
    virtual absl::Time Look(absl::Time now) = 0;
    virtual void Abort(const absl::Status& cause) = 0;
  };

  NcclWatchdog();
  ~NcclWatchdog();
  NcclWatchdog(const NcclWatchdog&) = delete;
  NcclWatchdog& operator=(const NcclWatchdog&) = delete;

  // Until Remove, which returns when it is not being looked at. After Abort: aborts it at once.
  void Add(Watched* watched);
  void Remove(Watched* watched);
  // Somebody is to be looked at before `time`.
  void LookBy(absl::Time time);
  // Aborts all that are there and all that will be; the first cause stays.
  void Abort(const absl::Status& cause);

 private:
  void Run();

  absl::Mutex mutex_;
  absl::CondVar changed_;
  std::vector<Watched*> watched_ ABSL_GUARDED_BY(mutex_);
  absl::Status cause_ ABSL_GUARDED_BY(mutex_);
  absl::Time next_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteFuture();
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // the last member
};

}  // namespace weft
