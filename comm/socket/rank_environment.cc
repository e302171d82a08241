#include "comm/socket/rank_environment.h"

#include <cstdlib>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"

namespace weft {
namespace {

absl::StatusOr<int> Number(const char* variable, const char* text, int least, int most) {
  int number = 0;
  if (absl::SimpleAtoi(text, &number) && number >= least && number <= most) return number;
  return absl::InvalidArgumentError(
      absl::StrCat(variable, " is '", text, "'; ", least, " to ", most, " are allowed"));
}

}  // namespace

absl::StatusOr<std::optional<RankEnvironment>> FindRankEnvironment() {
  constexpr int kMostRanks = 65536;
  const char* rank = std::getenv(kRankVariable);
  const char* world_size = std::getenv(kWorldSizeVariable);
  const char* rendezvous = std::getenv(kRendezvousVariable);
  std::vector<std::string> missing;
  if (rank == nullptr) missing.emplace_back(kRankVariable);
  if (world_size == nullptr) missing.emplace_back(kWorldSizeVariable);
  if (rendezvous == nullptr || *rendezvous == '\0') missing.emplace_back(kRendezvousVariable);
  if (rank == nullptr && world_size == nullptr && rendezvous == nullptr) return std::nullopt;
  if (!missing.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(absl::StrJoin(missing, " and "), missing.size() == 1 ? " is" : " are",
                     " not set: ranks without MPI need ", kRankVariable, ", ", kWorldSizeVariable,
                     " and ", kRendezvousVariable));
  }
  RankEnvironment found;
  WEFT_ASSIGN_OR_RETURN(found.world_size, Number(kWorldSizeVariable, world_size, 1, kMostRanks));
  WEFT_ASSIGN_OR_RETURN(found.rank, Number(kRankVariable, rank, 0, found.world_size - 1));
  found.rendezvous = rendezvous;
  return found;
}

std::vector<std::string> VariablesOf(const RankEnvironment& environment) {
  return {absl::StrCat(kRankVariable, "=", environment.rank),
          absl::StrCat(kWorldSizeVariable, "=", environment.world_size),
          absl::StrCat(kRendezvousVariable, "=", environment.rendezvous)};
}

}  // namespace weft
