#include "launch/control/control_options.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace weft {
namespace {

bool IsLoopback(const std::string& address) {
  return address == "localhost" || address == "::1" || absl::StartsWith(address, "127.");
}

absl::Status ValidateBindAddress(const ControlOptions& options) {
  const std::string& address = options.bind_address;
  if (IsLoopback(address)) return absl::OkStatus();
  if (address.empty() || address == "0.0.0.0" || address == "::") {
    return absl::InvalidArgumentError(absl::StrCat(
        "service.address: '", address,
        "' names no interface; give the address at which the other nodes reach this one"));
  }
  if (!options.insecure_network) {
    return absl::InvalidArgumentError(
        absl::StrCat("service.address: '", address,
                     "' is not a loopback address and the service is not encrypted yet; use "
                     "127.0.0.1, ::1 or localhost"));
  }
  return absl::OkStatus();
}

}  // namespace

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
  return ValidateBindAddress(options);
}

}  // namespace weft
