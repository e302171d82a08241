#include "launch/control/control_options.h"

#include <gtest/gtest.h>

#include "absl/strings/match.h"

namespace weft {
namespace {

TEST(ControlOptionsTest, CountsNodesOfUnevenSize) {
  ControlOptions options;
  options.world_size = 5;
  options.ranks_per_node = 2;
  options.rank = 4;
  EXPECT_EQ(options.num_nodes(), 3);
  EXPECT_EQ(options.node(), 2);
  EXPECT_EQ(options.num_ranks_of(1), 2);
  EXPECT_EQ(options.num_ranks_of(2), 1);
  EXPECT_TRUE(options.hosts_node_service());
  EXPECT_TRUE(ValidateControlOptions(options).ok());
}

struct Case {
  void (*change)(ControlOptions&);
  const char* message;
};

TEST(ControlOptionsTest, RefusesInOneSentence) {
  const Case cases[] = {
      {[](ControlOptions& o) { o.rank = 1; }, "rank 1 is not one of 0..0"},
      {[](ControlOptions& o) { o.world_size = 0; },
       "a job needs at least one rank and one rank per node, not 0 and 1"},
      {[](ControlOptions& o) { o.heartbeat = absl::Seconds(2); },
       "service.heartbeat_seconds: 2 must be above 0 and at most a quarter of "
       "service.heartbeat_deadline (5)"},
      {[](ControlOptions& o) { o.port = 70000; },
       "service.port: 70000 must be 0 (any free port) to 65535"},
      {[](ControlOptions& o) { o.bind_address = "10.0.0.1"; },
       "service.address: '10.0.0.1' is not a loopback address and the service is not encrypted; "
       "allow that by service.insecure_network: true, or use 127.0.0.1, ::1 or localhost"},
  };
  for (const Case& c : cases) {
    ControlOptions options;
    c.change(options);
    const absl::Status status = ValidateControlOptions(options);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(status.message(), c.message);
  }
}

TEST(ControlOptionsTest, ANetworkBecomesAnAddressOfThisHost) {
  ControlOptions options;
  options.bind_address = "127.0.0.0/8";
  EXPECT_EQ(ListenAddressOf(options).value_or(""), "127.0.0.1");
  options.bind_address = "240.0.0.0/24";  // reserved: nobody has it
  EXPECT_EQ(ListenAddressOf(options).status().code(), absl::StatusCode::kInvalidArgument);
  options.insecure_network = true;
  const absl::Status none = ListenAddressOf(options).status();
  EXPECT_TRUE(absl::StrContains(none.message(), "'240.0.0.0/24' holds no address of host")) << none;
  EXPECT_TRUE(absl::StrContains(none.message(), "127.0.0.1")) << none;
}

}  // namespace
}  // namespace weft
