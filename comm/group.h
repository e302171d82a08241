#pragma once

#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/ids.h"

// One group of ranks as one of its members sees it: what Connect was asked for, checked once.
// Members are known by their place in the group (0..size-1); errors speak of global ranks, which is
// what this turns them into.

namespace weft {

struct Group {
  std::string name;
  std::vector<RankId> ranks;  // ascending
  int me = 0;                 // index into ranks
  absl::Duration deadline;

  int size() const { return static_cast<int>(ranks.size()); }
  RankId global(int member) const { return ranks[static_cast<size_t>(member)]; }
};

// kInvalidArgument unless `ranks` ascends within 0..world_size-1 and `rank` is among them.
absl::StatusOr<Group> MakeGroup(const std::string& name, const std::vector<RankId>& ranks,
                                RankId rank, int world_size, absl::Duration deadline);

// "rank 3" or "ranks 2, 3": the global ranks of `members` (places in the group, ascending).
std::string DescribeMembers(const Group& group, std::span<const int> members);

// kDeadlineExceeded naming who has not arrived.
absl::Status MissingMembersError(const Group& group, std::span<const int> missing);

// kInternal: a member's message has another size than this rank waits for.
absl::Status SizeMismatchError(const Group& group, int sender, int64_t sent, int64_t expected);

// kAborted that carries the first cause. REQUIRES: `cause` is an error.
absl::Status AbortedBy(const absl::Status& cause);

}  // namespace weft
