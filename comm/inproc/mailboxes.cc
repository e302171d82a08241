#include "comm/inproc/mailboxes.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"

namespace weft {

class MailboxExchange final : public Exchange {
 public:
  MailboxExchange(std::shared_ptr<Mailboxes> boxes, Group group)
      : boxes_(std::move(boxes)), group_(std::move(group)) {
    pending_.reserve(static_cast<size_t>(group_.size()));
  }

  absl::Status Run(std::span<const Outgoing> out, std::span<const Incoming> in) override {
    const absl::Time until = absl::Now() + group_.deadline;
    absl::MutexLock lock(&boxes_->mutex_);
    if (!health_.ok()) return health_;
    Post(out);
    pending_.assign(in.begin(), in.end());
    while (health_.ok() && !(pending_.empty() && AllTaken(out))) {
      if (TakeOne()) continue;
      if (boxes_->changed_.WaitWithDeadline(&boxes_->mutex_, until) && health_.ok() &&
          !AnyPosted() && !(pending_.empty() && AllTaken(out))) {
        health_ = MissingMembersError(group_, Missing(out));
      }
    }
    if (!health_.ok()) Withdraw(out);
    return health_;
  }

  absl::Status Health() const override {
    absl::MutexLock lock(&boxes_->mutex_);
    return health_;
  }

  void Abort(const absl::Status& cause) override {
    absl::MutexLock lock(&boxes_->mutex_);
    if (!health_.ok()) return;
    health_ = AbortedBy(cause);
    boxes_->changed_.SignalAll();
  }

 private:
  using Box = Mailboxes::Box;
  using BoxState = Mailboxes::BoxState;

  Box& ToPeer(int peer) ABSL_EXCLUSIVE_LOCKS_REQUIRED(boxes_->mutex_) {
    return boxes_->box(group_.me, peer);
  }
  Box& FromPeer(int peer) ABSL_EXCLUSIVE_LOCKS_REQUIRED(boxes_->mutex_) {
    return boxes_->box(peer, group_.me);
  }

  void Post(std::span<const Outgoing> out) ABSL_EXCLUSIVE_LOCKS_REQUIRED(boxes_->mutex_) {
    for (const Outgoing& message : out) {
      Box& box = ToPeer(message.peer);
      WEFT_CHECK(box.state == BoxState::kEmpty, "one exchange at a time");
      box = {message.data, message.bytes, BoxState::kPosted};
    }
    boxes_->changed_.SignalAll();
  }

  // Copies one message that lies ready, outside the lock. False when none does.
  bool TakeOne() ABSL_EXCLUSIVE_LOCKS_REQUIRED(boxes_->mutex_) {
    for (Incoming& message : pending_) {
      Box& box = FromPeer(message.peer);
      if (box.state != BoxState::kPosted) continue;
      if (box.bytes != message.bytes) {
        health_ = SizeMismatchError(group_, message.peer, box.bytes, message.bytes);
        return true;
      }
      box.state = BoxState::kReading;
      const void* from = box.data;
      boxes_->mutex_.Unlock();
      if (message.bytes > 0) std::memcpy(message.data, from, static_cast<size_t>(message.bytes));
      boxes_->mutex_.Lock();
      box.state = BoxState::kEmpty;
      boxes_->changed_.SignalAll();
      message = pending_.back();
      pending_.pop_back();
      return true;
    }
    return false;
  }

  bool AnyPosted() ABSL_EXCLUSIVE_LOCKS_REQUIRED(boxes_->mutex_) {
    for (const Incoming& message : pending_) {
      if (FromPeer(message.peer).state == BoxState::kPosted) return true;
    }
    return false;
  }

  bool AllTaken(std::span<const Outgoing> out) ABSL_EXCLUSIVE_LOCKS_REQUIRED(boxes_->mutex_) {
    for (const Outgoing& message : out) {
      if (ToPeer(message.peer).state != BoxState::kEmpty) return false;
    }
    return true;
  }

  std::vector<int> Missing(std::span<const Outgoing> out)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(boxes_->mutex_) {
    std::vector<int> missing;
    for (const Incoming& message : pending_) missing.push_back(message.peer);
    for (const Outgoing& message : out) {
      if (ToPeer(message.peer).state != BoxState::kEmpty) missing.push_back(message.peer);
    }
    std::sort(missing.begin(), missing.end());
    missing.erase(std::unique(missing.begin(), missing.end()), missing.end());
    return missing;
  }

  // Takes back what nobody has begun to read and waits for those in the middle of a copy: after
  // that no other thread looks into this rank's buffers.
  void Withdraw(std::span<const Outgoing> out) ABSL_EXCLUSIVE_LOCKS_REQUIRED(boxes_->mutex_) {
    for (const Outgoing& message : out) {
      Box& box = ToPeer(message.peer);
      while (box.state == BoxState::kReading) boxes_->changed_.Wait(&boxes_->mutex_);
      box.state = BoxState::kEmpty;
    }
  }

  const std::shared_ptr<Mailboxes> boxes_;
  const Group group_;
  absl::Status health_ ABSL_GUARDED_BY(boxes_->mutex_);
  std::vector<Incoming> pending_ ABSL_GUARDED_BY(boxes_->mutex_);
};

Mailboxes::Mailboxes(int members)
    : members_(members), boxes_(static_cast<size_t>(members) * static_cast<size_t>(members)) {}

std::shared_ptr<Exchange> Mailboxes::MakeExchange(std::shared_ptr<Mailboxes> boxes, Group group) {
  return std::make_shared<MailboxExchange>(std::move(boxes), std::move(group));
}

}  // namespace weft
