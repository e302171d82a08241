#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// Where a rank's servers listen. service.address says it for all hosts of a job at once: an address
// ("127.0.0.1", "localhost", "10.0.0.1", "fd00::1"), or a network ("10.0.0.0/24"), which means this
// host's own address inside that network. What a server listens on is also what it tells the other
// ranks, so an address that means every interface (0.0.0.0) will not do.

namespace weft {

// kInvalidArgument, in one sentence, for a text that is none of these, for one that names no
// interface, and for one that other hosts reach while `insecure_network` is false.
absl::Status ValidateListenAddress(const std::string& wanted, bool insecure_network);

// kInvalidArgument when the ranks run on more than one host and only this one reaches `wanted`.
// REQUIRES: ValidateListenAddress.
absl::Status CheckHostsReach(const std::string& wanted, int32_t num_hosts);

// The addresses of the interfaces that are up, as text, without IPv6 link-local ones (they mean
// nothing to another host).
absl::StatusOr<std::vector<std::string>> AddressesOfThisHost();

// What to listen on, given the addresses of this host: an address is itself, of a network the
// numerically lowest address inside. kInvalidArgument, with the addresses there are, when there is
// none. REQUIRES: ValidateListenAddress.
absl::StatusOr<std::string> ChooseListenAddress(const std::string& wanted,
                                                const std::vector<std::string>& addresses);

}  // namespace weft
