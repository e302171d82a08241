#include "launch/control/roster.h"

#include <algorithm>

namespace weft {

Roster::Roster(int32_t size, absl::Duration deadline, absl::Duration join_deadline, int64_t now)
    : deadline_(absl::ToInt64Nanoseconds(deadline)),
      join_deadline_(absl::ToInt64Nanoseconds(std::max(deadline, join_deadline))),
      last_look_(now),
      members_(size, Member{.last = now}) {}

void Roster::Hear(int32_t member, int64_t now) {
  members_[member].last = now;
  members_[member].heard = true;
}

void Roster::Leave(int32_t member) { members_[member].left = true; }

void Roster::Tell(int32_t member) { members_[member].told = true; }

absl::Duration Roster::Silence(int32_t member, int64_t now) const {
  return absl::Nanoseconds(now - members_[member].last);
}

bool Roster::Overdue(const Member& member, int64_t now) const {
  return !member.left && now - member.last > (member.heard ? deadline_ : join_deadline_);
}

std::optional<int32_t> Roster::FindOverdue(int64_t now) {
  const int64_t excess = now - last_look_ - deadline_ / 2;
  last_look_ = now;
  if (excess > 0) {
    for (Member& member : members_) member.last = std::min(now, member.last + excess);
  }
  std::optional<int32_t> longest;
  for (size_t i = 0; i < members_.size(); ++i) {
    if (!Overdue(members_[i], now)) continue;
    if (!longest.has_value() || members_[i].last < members_[*longest].last) {
      longest = static_cast<int32_t>(i);
    }
  }
  return longest;
}

std::vector<int32_t> Roster::Pending(bool failed, int64_t now) const {
  std::vector<int32_t> pending;
  for (size_t i = 0; i < members_.size(); ++i) {
    const Member& member = members_[i];
    const bool done = member.left || (failed && (member.told || Overdue(member, now)));
    if (!done) pending.push_back(static_cast<int32_t>(i));
  }
  return pending;
}

}  // namespace weft
