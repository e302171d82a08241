#include "comm/nccl/nccl_watchdog.h"

#include <algorithm>

#include "absl/time/clock.h"

namespace weft {

NcclWatchdog::NcclWatchdog() : thread_([this] { Run(); }) {}

NcclWatchdog::~NcclWatchdog() {
  {
    absl::MutexLock lock(&mutex_);
    closing_ = true;
    changed_.SignalAll();
  }
  thread_.join();
}

void NcclWatchdog::Add(Watched* watched) {
  absl::MutexLock lock(&mutex_);
  watched_.push_back(watched);
  if (!cause_.ok()) watched->Abort(cause_);
}

void NcclWatchdog::Remove(Watched* watched) {
  absl::MutexLock lock(&mutex_);
  watched_.erase(std::remove(watched_.begin(), watched_.end(), watched), watched_.end());
}

void NcclWatchdog::LookBy(absl::Time time) {
  absl::MutexLock lock(&mutex_);
  if (time >= next_) return;
  next_ = time;
  changed_.SignalAll();
}

void NcclWatchdog::Abort(const absl::Status& cause) {
  absl::MutexLock lock(&mutex_);
  if (cause_.ok()) cause_ = cause;
  for (Watched* watched : watched_) watched->Abort(cause_);
}

void NcclWatchdog::Run() {
  absl::MutexLock lock(&mutex_);
  while (!closing_) {
    const absl::Time now = absl::Now();
    if (now < next_) {
      changed_.WaitWithDeadline(&mutex_, next_);
      continue;
    }
    next_ = absl::InfiniteFuture();
    for (Watched* watched : watched_) next_ = std::min(next_, watched->Look(now));
  }
}

}  // namespace weft
