#include "launch/control/control_options.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "launch/control/listen_address.h"

namespace weft {

int32_t ControlOptions::num_ranks_of(int32_t any_node) const {
  return std::min(ranks_per_node, world_size - first_rank_of(any_node));
}

absl::Status ValidateControlOptions(const ControlOptions& options) {
  if (options.world_size < 1 || options.ranks_per_node < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("a job needs at least one rank and one rank per node, not ",
                     options.world_size, " and ", options.ranks_per_node));
  }
  if (options.rank < 0 || options.rank >= options.world_size) {
    return absl::InvalidArgumentError(
        absl::StrCat("rank ", options.rank, " is not one of 0..", options.world_size - 1));
  }
  if (options.heartbeat <= absl::ZeroDuration() || options.heartbeat > options.deadline / 4) {
    return absl::InvalidArgumentError(
        absl::StrCat("service.heartbeat_seconds: ", absl::ToDoubleSeconds(options.heartbeat),
                     " must be above 0 and at most a quarter of service.heartbeat_deadline (",
                     absl::ToDoubleSeconds(options.deadline), ")"));
  }
  if (options.port < 0 || options.port > 65535) {
    return absl::InvalidArgumentError(
        absl::StrCat("service.port: ", options.port, " must be 0 (any free port) to 65535"));
  }
  return ValidateListenAddress(options.bind_address, options.insecure_network);
}

absl::StatusOr<std::string> ListenAddressOf(const ControlOptions& options) {
  WEFT_RETURN_IF_ERROR(ValidateControlOptions(options));
  WEFT_ASSIGN_OR_RETURN(const std::vector<std::string> addresses, AddressesOfThisHost());
  return ChooseListenAddress(options.bind_address, addresses);
}

}  // namespace weft
