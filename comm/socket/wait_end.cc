#include "comm/socket/wait_end.h"

#include <sys/eventfd.h>

#include <cerrno>
#include <cstdint>

#include "base/check.h"

namespace weft {

WaitEnd::WaitEnd() : event_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!event_.valid()) status_ = absl::ErrnoToStatus(errno, "eventfd");
}

absl::Status WaitEnd::status() const {
  absl::MutexLock lock(&mutex_);
  return status_;
}

void WaitEnd::Fail(const absl::Status& status) {
  WEFT_CHECK(!status.ok(), "an end has a cause");
  absl::MutexLock lock(&mutex_);
  if (!status_.ok()) return;
  status_ = status;
  const uint64_t one = 1;
  const ssize_t written = write(event_.get(), &one, sizeof(one));
  WEFT_CHECK(written == sizeof(one), "an eventfd takes its first one");
}

}  // namespace weft
