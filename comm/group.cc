#include "comm/group.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/check.h"

namespace weft {
namespace {

std::string JoinRanks(const std::vector<RankId>& ranks) {
  return absl::StrJoin(ranks, ", ",
                       [](std::string* out, RankId rank) { absl::StrAppend(out, rank.value); });
}

}  // namespace

absl::StatusOr<Group> MakeGroup(const std::string& name, const std::vector<RankId>& ranks,
                                RankId rank, int world_size, absl::Duration deadline) {
  const bool ascending =
      std::adjacent_find(ranks.begin(), ranks.end(), std::greater_equal<>()) == ranks.end();
  const bool in_world =
      !ranks.empty() && ranks.front().value >= 0 && ranks.back().value < world_size;
  if (!ascending || !in_world) {
    return absl::InvalidArgumentError(
        absl::StrCat("group \"", name, "\" has ranks [", JoinRanks(ranks),
                     "]; they must ascend within 0..", world_size - 1));
  }
  const auto mine = std::lower_bound(ranks.begin(), ranks.end(), rank);
  if (mine == ranks.end() || *mine != rank) {
    return absl::InvalidArgumentError(absl::StrCat("rank ", rank.value, " connects group \"", name,
                                                   "\" of ranks [", JoinRanks(ranks),
                                                   "] without being one of them"));
  }
  Group group;
  group.name = name;
  group.ranks = ranks;
  group.me = static_cast<int>(mine - ranks.begin());
  group.deadline = deadline;
  return group;
}

std::string DescribeMembers(const Group& group, std::span<const int> members) {
  std::vector<RankId> ranks;
  for (int member : members) ranks.push_back(group.global(member));
  return absl::StrCat(ranks.size() == 1 ? "rank " : "ranks ", JoinRanks(ranks));
}

absl::Status MissingMembersError(const Group& group, std::span<const int> missing) {
  return absl::DeadlineExceededError(
      absl::StrCat(DescribeMembers(group, missing), missing.size() == 1 ? " has" : " have",
                   " not arrived within ", absl::FormatDuration(group.deadline)));
}

absl::Status SizeMismatchError(const Group& group, int sender, int64_t sent, int64_t expected) {
  return absl::InternalError(absl::StrCat("rank ", group.global(sender).value, " sends ", sent,
                                          " bytes where rank ", group.global(group.me).value,
                                          " waits for ", expected));
}

absl::Status AbortedBy(const absl::Status& cause) {
  WEFT_CHECK(!cause.ok(), "an abort has a cause");
  if (absl::IsAborted(cause)) return cause;
  return absl::AbortedError(absl::StrCat("aborted: ", cause.ToString()));
}

}  // namespace weft
