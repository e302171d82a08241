#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

// How a process learns which rank it is when nobody like mpirun tells it: three environment
// variables, which whoever starts the ranks sets.

namespace weft {

inline constexpr char kRankVariable[] = "WEFT_RANK";
inline constexpr char kWorldSizeVariable[] = "WEFT_WORLD_SIZE";
inline constexpr char kRendezvousVariable[] = "WEFT_RENDEZVOUS";

struct RankEnvironment {
  int rank = 0;
  int world_size = 1;
  std::string rendezvous;  // a directory of the user's own, one a job
};

// What this process's environment says; nullopt when it has none of the three variables.
// kInvalidArgument names the variable that is missing or cannot be.
absl::StatusOr<std::optional<RankEnvironment>> FindRankEnvironment();

// "NAME=VALUE", one a variable.
std::vector<std::string> VariablesOf(const RankEnvironment& environment);

}  // namespace weft
