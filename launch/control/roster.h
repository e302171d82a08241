#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/time/time.h"

namespace weft {

// Who of a fixed set of members has been heard of when: a node service's ranks, the coordinator's
// nodes, or the one peer a client depends on. Times are Clock::NowNanos. Not thread-safe.
class Roster {
 public:
  // A member may be silent for `deadline`, before it was first heard of for `join_deadline`.
  Roster(int32_t size, absl::Duration deadline, absl::Duration join_deadline, int64_t now);

  void Hear(int32_t member, int64_t now);
  void Leave(int32_t member);  // has finished; never overdue again
  void Tell(int32_t member);   // has been given the first cause of the job's end

  bool heard(int32_t member) const { return members_[member].heard; }
  bool left(int32_t member) const { return members_[member].left; }
  absl::Duration Silence(int32_t member, int64_t now) const;

  // The member silent for longest among those beyond their limit. To be called regularly: when two
  // calls are further apart than half a deadline, this process itself was not running (stopped,
  // swapped out, suspended), and the excess is counted against nobody.
  std::optional<int32_t> FindOverdue(int64_t now);

  // Who is still to be waited for at the end of a job, ascending: everyone who has not left; of a
  // failed job only those who have not been told the cause either and are not overdue themselves.
  std::vector<int32_t> Pending(bool failed, int64_t now) const;

 private:
  struct Member {
    int64_t last = 0;
    bool heard = false;
    bool left = false;
    bool told = false;
  };

  bool Overdue(const Member& member, int64_t now) const;

  const int64_t deadline_;
  const int64_t join_deadline_;
  int64_t last_look_;
  std::vector<Member> members_;
};

}  // namespace weft
