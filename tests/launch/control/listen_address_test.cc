#include "launch/control/listen_address.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "absl/strings/match.h"

namespace weft {
namespace {

std::string Message(const absl::Status& status) { return std::string(status.message()); }

TEST(ListenAddressTest, LoopbackNeedsNoLeave) {
  for (const char* address : {"127.0.0.1", "127.3.2.1", "localhost", "::1", "127.0.0.0/8"}) {
    EXPECT_TRUE(ValidateListenAddress(address, false).ok()) << address;
  }
}

TEST(ListenAddressTest, AnotherAddressNeedsLeave) {
  for (const char* address : {"10.0.0.1", "10.0.0.0/24", "126.0.0.0/7", "fd00::1", "fd00::/64"}) {
    EXPECT_EQ(Message(ValidateListenAddress(address, false)),
              "service.address: '" + std::string(address) +
                  "' is not a loopback address and the service is not encrypted; allow that by "
                  "service.insecure_network: true, or use 127.0.0.1, ::1 or localhost");
    EXPECT_TRUE(ValidateListenAddress(address, true).ok()) << address;
  }
}

TEST(ListenAddressTest, EveryInterfaceIsNone) {
  for (const char* address : {"0.0.0.0", "::", "0.0.0.0/0", "10.0.0.0/0"}) {
    EXPECT_TRUE(absl::StrContains(Message(ValidateListenAddress(address, true)),
                                  "names no interface; give the address"))
        << address;
  }
}

TEST(ListenAddressTest, RefusesWhatIsNoAddress) {
  for (const char* address : {"", "node1", "10.0.0", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1",
                              "10.0.0.0/+8", "fd00::/129", "10.0.0.0/8/8", "/8", "10.0.0.0/ 8"}) {
    EXPECT_EQ(Message(ValidateListenAddress(address, true)),
              "service.address: '" + std::string(address) +
                  "' is neither an address such as 10.0.0.1, nor a network such as 10.0.0.0/24, "
                  "nor localhost");
  }
}

TEST(ListenAddressTest, SeveralHostsNeedAnAddressThatTheyReach) {
  EXPECT_TRUE(CheckHostsReach("127.0.0.1", 1).ok());
  EXPECT_TRUE(CheckHostsReach("10.0.0.0/24", 3).ok());
  for (const char* address : {"127.0.0.1", "localhost", "::1"}) {
    EXPECT_EQ(Message(CheckHostsReach(address, 3)),
              "service.address: '" + std::string(address) +
                  "' is reached from one host only and the ranks run on 3; give the network that "
                  "the hosts share, as in 10.0.0.0/24, and service.insecure_network: true");
  }
}

TEST(ListenAddressTest, AnAddressIsItself) {
  EXPECT_EQ(*ChooseListenAddress("localhost", {}), "localhost");
  EXPECT_EQ(*ChooseListenAddress("10.0.0.1", {"127.0.0.1"}), "10.0.0.1");
}

TEST(ListenAddressTest, ANetworkIsTheLowestAddressInside) {
  const std::vector<std::string> addresses = {"127.0.0.1",  "10.77.1.2", "10.77.0.9",
                                              "10.77.0.10", "::1",       "fd00::2"};
  EXPECT_EQ(*ChooseListenAddress("10.77.0.0/24", addresses), "10.77.0.9");
  EXPECT_EQ(*ChooseListenAddress("10.77.1.0/24", addresses), "10.77.1.2");
  EXPECT_EQ(*ChooseListenAddress("10.77.0.10/31", addresses), "10.77.0.10");
  EXPECT_EQ(*ChooseListenAddress("10.77.0.77/24", addresses), "10.77.0.9");
  EXPECT_EQ(*ChooseListenAddress("fd00::/16", addresses), "fd00::2");
}

TEST(ListenAddressTest, SaysWhatTheHostHasInstead) {
  const absl::Status none =
      ChooseListenAddress("10.78.0.0/24", {"127.0.0.1", "10.77.0.9"}).status();
  EXPECT_EQ(none.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(absl::StrContains(none.message(), "service.address: '10.78.0.0/24' holds no address"))
      << none;
  EXPECT_TRUE(absl::EndsWith(none.message(), "which has 127.0.0.1, 10.77.0.9")) << none;
}

TEST(ListenAddressTest, ThisHostHasItsLoopback) {
  const absl::StatusOr<std::vector<std::string>> addresses = AddressesOfThisHost();
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  EXPECT_EQ(std::count(addresses->begin(), addresses->end(), "127.0.0.1"), 1);
}

}  // namespace
}  // namespace weft
