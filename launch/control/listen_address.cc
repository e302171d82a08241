#include "launch/control/listen_address.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/check.h"

namespace weft {
namespace {

// An IP address, or all addresses that share its first `prefix` bits.
struct Network {
  int family = AF_INET;
  std::array<uint8_t, 16> bytes = {};  // in network order; an IPv4 address has four
  int prefix = 0;
  bool one_address = true;  // written without "/prefix"

  int bits() const { return family == AF_INET ? 32 : 128; }

  bool Contains(const Network& other) const {
    if (family != other.family) return false;
    for (int bit = 0; bit < prefix; ++bit) {
      const auto byte = static_cast<size_t>(bit / 8);
      if ((((bytes[byte] ^ other.bytes[byte]) >> (7 - bit % 8)) & 1) != 0) return false;
    }
    return true;
  }
};

std::optional<Network> ParseNetwork(const std::string& text) {
  const size_t slash = text.find('/');
  const std::string address = text.substr(0, slash);
  Network network;
  if (inet_pton(AF_INET, address.c_str(), network.bytes.data()) != 1) {
    network.family = AF_INET6;
    if (inet_pton(AF_INET6, address.c_str(), network.bytes.data()) != 1) return std::nullopt;
  }
  network.prefix = network.bits();
  network.one_address = slash == std::string::npos;
  if (network.one_address) return network;
  const std::string prefix = text.substr(slash + 1);
  const bool digits =
      !prefix.empty() && prefix.find_first_not_of("0123456789") == std::string::npos;
  if (!digits || !absl::SimpleAtoi(prefix, &network.prefix) || network.prefix > network.bits()) {
    return std::nullopt;
  }
  return network;
}

bool IsLoopback(const Network& network) {
  static const Network ipv4 = *ParseNetwork("127.0.0.0/8");
  static const Network ipv6 = *ParseNetwork("::1/128");
  return (ipv4.Contains(network) && network.prefix >= ipv4.prefix) ||
         (ipv6.Contains(network) && network.prefix >= ipv6.prefix);
}

bool NamesNoInterface(const Network& network) {
  const bool all_zero = std::all_of(network.bytes.begin(), network.bytes.end(),
                                    [](uint8_t byte) { return byte == 0; });
  return network.prefix == 0 || (network.one_address && all_zero);
}

// REQUIRES: `wanted` is valid.
bool OnlyThisHostReaches(const std::string& wanted) {
  return wanted == "localhost" || IsLoopback(*ParseNetwork(wanted));
}

absl::Status Refuse(const std::string& wanted, const std::string& why) {
  return absl::InvalidArgumentError(absl::StrCat("service.address: '", wanted, "' ", why));
}

}  // namespace

absl::Status ValidateListenAddress(const std::string& wanted, bool insecure_network) {
  if (wanted == "localhost") return absl::OkStatus();
  const std::optional<Network> network = ParseNetwork(wanted);
  if (!network.has_value()) {
    return Refuse(wanted,
                  "is neither an address such as 10.0.0.1, nor a network such as 10.0.0.0/24, nor "
                  "localhost");
  }
  if (NamesNoInterface(*network)) {
    return Refuse(wanted,
                  "names no interface; give the address at which the other nodes reach this one, "
                  "or the network they share, as in 10.0.0.0/24");
  }
  if (!insecure_network && !IsLoopback(*network)) {
    return Refuse(wanted,
                  "is not a loopback address and the service is not encrypted; allow that by "
                  "service.insecure_network: true, or use 127.0.0.1, ::1 or localhost");
  }
  return absl::OkStatus();
}

absl::Status CheckHostsReach(const std::string& wanted, int32_t num_hosts) {
  if (num_hosts == 1 || !OnlyThisHostReaches(wanted)) return absl::OkStatus();
  return Refuse(wanted,
                absl::StrCat("is reached from one host only and the ranks run on ", num_hosts,
                             "; give the network that the hosts share, as in 10.0.0.0/24, "
                             "and service.insecure_network: true"));
}

absl::StatusOr<std::vector<std::string>> AddressesOfThisHost() {
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) {
    return absl::ErrnoToStatus(errno, "cannot list the network interfaces of this host");
  }
  const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> owner(list, freeifaddrs);
  std::vector<std::string> addresses;
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr || (entry->ifa_flags & IFF_UP) == 0) continue;
    std::array<char, INET6_ADDRSTRLEN> text = {};
    const int family = entry->ifa_addr->sa_family;
    if (family == AF_INET) {
      sockaddr_in address;
      std::memcpy(&address, entry->ifa_addr, sizeof(address));
      inet_ntop(family, &address.sin_addr, text.data(), text.size());
    } else if (family == AF_INET6) {
      sockaddr_in6 address;
      std::memcpy(&address, entry->ifa_addr, sizeof(address));
      if (address.sin6_scope_id != 0) continue;  // link-local
      inet_ntop(family, &address.sin6_addr, text.data(), text.size());
    } else {
      continue;
    }
    addresses.emplace_back(text.data());
  }
  return addresses;
}

absl::StatusOr<std::string> ChooseListenAddress(const std::string& wanted,
                                                const std::vector<std::string>& addresses) {
  const std::optional<Network> network = ParseNetwork(wanted);
  if (!network.has_value() || network->one_address) return wanted;
  std::optional<Network> lowest;
  std::string chosen;
  for (const std::string& address : addresses) {
    const std::optional<Network> candidate = ParseNetwork(address);
    WEFT_CHECK(candidate.has_value(), "the addresses of a host are addresses");
    if (!network->Contains(*candidate)) continue;
    if (lowest.has_value() && lowest->bytes <= candidate->bytes) continue;
    lowest = candidate;
    chosen = address;
  }
  if (lowest.has_value()) return chosen;
  std::array<char, 256> host = {};
  gethostname(host.data(), host.size() - 1);
  return Refuse(wanted, absl::StrCat("holds no address of host ", host.data(), ", which has ",
                                     addresses.empty() ? "none" : absl::StrJoin(addresses, ", ")));
}

}  // namespace weft
