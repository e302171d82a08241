#pragma once

#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "comm/exchange.h"

namespace weft {

// The exchanges one backend has made and that still live, so that its Abort reaches them all.
// Thread-safe.
class OpenExchanges {
 public:
  // Remembers it without owning it. After Abort: aborts it at once.
  void Add(const std::shared_ptr<Exchange>& exchange);
  // Aborts what was added and what will be. The first cause stays.
  void Abort(const absl::Status& cause);

 private:
  absl::Mutex mutex_;
  absl::Status cause_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::weak_ptr<Exchange>> open_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace weft
