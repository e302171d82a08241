#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "comm/exchange.h"
#include "comm/group.h"

namespace weft {

// The wires of one group whose members are threads of this process: a box for every ordered pair of
// members. A sender leaves a pointer in its box, the receiver copies straight from the sender's
// buffer and empties the box. Nobody polls.
class Mailboxes {
 public:
  explicit Mailboxes(int members);

  // One member's end.
  static std::shared_ptr<Exchange> MakeExchange(std::shared_ptr<Mailboxes> boxes, Group group);

 private:
  friend class MailboxExchange;

  enum class BoxState { kEmpty, kPosted, kReading };
  struct Box {
    const void* data = nullptr;
    int64_t bytes = 0;
    BoxState state = BoxState::kEmpty;
  };

  Box& box(int from, int to) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return boxes_[static_cast<size_t>(from) * static_cast<size_t>(members_) +
                  static_cast<size_t>(to)];
  }

  const int members_;
  absl::Mutex mutex_;
  absl::CondVar changed_;  // a box or a member's health
  std::vector<Box> boxes_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace weft
