#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "comm/communicator.h"

// How the ranks of a save or load come to one opinion: each says how its part went, all hear all,
// and the same function of the same reports gives the same Status everywhere.

namespace weft {

struct RankReport {
  absl::Status status;  // messages beyond 400 bytes are cut
  int64_t number = 0;
  std::string token;  // at most 32 bytes
};

// The reports of all ranks, by rank. COLLECTIVE: every member of `world`. An error is the
// communicator's own and leaves it unusable; what a rank reports is never an error of this
// function.
absl::StatusOr<std::vector<RankReport>> GatherReports(Communicator& world, const RankReport& mine);

// OK, or the error of the first rank that has one, as "rank R: ...", and how many others failed.
absl::Status FirstFailure(const std::vector<RankReport>& reports);

}  // namespace weft
