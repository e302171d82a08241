#include "comm/open_exchanges.h"

#include <algorithm>

namespace weft {

void OpenExchanges::Add(const std::shared_ptr<Exchange>& exchange) {
  absl::Status cause;
  {
    absl::MutexLock lock(&mutex_);
    open_.erase(std::remove_if(open_.begin(), open_.end(),
                               [](const std::weak_ptr<Exchange>& e) { return e.expired(); }),
                open_.end());
    open_.push_back(exchange);
    cause = cause_;
  }
  if (!cause.ok()) exchange->Abort(cause);
}

void OpenExchanges::Abort(const absl::Status& cause) {
  std::vector<std::weak_ptr<Exchange>> open;
  {
    absl::MutexLock lock(&mutex_);
    if (cause_.ok()) cause_ = cause;
    open = open_;
  }
  for (const std::weak_ptr<Exchange>& weak : open) {
    if (std::shared_ptr<Exchange> exchange = weak.lock()) exchange->Abort(cause);
  }
}

}  // namespace weft
