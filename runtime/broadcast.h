#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "comm/communicator.h"

// Small facts that rank 0 knows and everyone needs, and decisions that all ranks must reach alike.
// Between steps.

namespace weft {

// Rank 0's text on every rank. COLLECTIVE.
absl::StatusOr<std::string> BroadcastText(Communicator& control, const std::string& text);

// Every rank's text, by rank, on every rank. COLLECTIVE.
absl::StatusOr<std::vector<std::string>> GatherTextOfAll(Communicator& control,
                                                         const std::string& mine);

// OK on every rank when OK on all; otherwise the error of the lowest rank that has one, with its
// rank in front. COLLECTIVE. Use it where one rank's failure must not leave the others waiting.
absl::Status AgreeOnStatus(Communicator& control, const absl::Status& mine);

// The largest value over ranks. COLLECTIVE.
absl::StatusOr<double> AgreeOnMax(Communicator& control, double mine);

}  // namespace weft
