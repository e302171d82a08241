#include "simulation/slowdowns.h"

#include <gtest/gtest.h>

namespace weft {
namespace {

constexpr Topology kTopology{6, 2};

TEST(StragglerTest, IsParsedFromTheCommandLine) {
  const absl::StatusOr<Straggler> rank = ParseStraggler("rank=3,compute=1.5");
  ASSERT_TRUE(rank.ok()) << rank.status();
  EXPECT_EQ(rank->rank, 3);
  EXPECT_EQ(rank->node, -1);
  EXPECT_EQ(rank->compute, 1.5);
  EXPECT_EQ(rank->link, 1);
  const absl::StatusOr<Straggler> node = ParseStraggler("link=2,node=0,compute=4");
  ASSERT_TRUE(node.ok()) << node.status();
  EXPECT_EQ(node->node, 0);
  EXPECT_EQ(node->link, 2);
  EXPECT_EQ(node->compute, 4);
  for (const char* text : {"", "3", "rank", "rank=", "rank=x,compute=2", "rank=-1,compute=2",
                           "rank=1,rank=2,compute=2", "rank=1,speed=2", "rank=1,compute=fast",
                           "rank=1,compute=2,", "rank=1,compute=2,compute=3"}) {
    const absl::StatusOr<Straggler> bad = ParseStraggler(text);
    ASSERT_FALSE(bad.ok()) << text;
    EXPECT_NE(bad.status().message().find("such as rank=3,compute=1.5"), std::string::npos);
  }
}

TEST(StragglerTest, MistakesAreNamed) {
  const struct {
    Straggler straggler;
    const char* says;
  } cases[] = {
      {{.compute = 2}, "one rank or one node"},
      {{.rank = 0, .node = 0, .compute = 2}, "one rank or one node"},
      {{.rank = 6, .compute = 2}, "a straggler's rank must be from 0 to 5, not 6"},
      {{.node = 3, .link = 2}, "a straggler's node must be from 0 to 2, not 3"},
      {{.rank = 1}, "straggler rank 1 needs a factor"},
      {{.rank = 1, .compute = 0.5}, "straggler rank 1: compute and link are factors of at least 1"},
      {{.node = 1, .link = -2}, "straggler node 1: compute and link are factors of at least 1"},
  };
  for (const auto& c : cases) {
    const absl::Status status = ValidateStraggler(c.straggler, kTopology);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_NE(status.message().find(c.says), std::string::npos) << status;
  }
  EXPECT_TRUE(ValidateStraggler({.rank = 5, .compute = 1.5}, kTopology).ok());
  EXPECT_TRUE(ValidateStraggler({.node = 2, .link = 1.5}, kTopology).ok());
}

TEST(StragglerTest, EntriesOfOneRankAreMultiplied) {
  const Slowdowns slowdowns =
      SlowdownsOf({{.rank = 3, .compute = 1.5}, {.node = 1, .compute = 2, .link = 3}}, kTopology);
  EXPECT_EQ(slowdowns.compute, (std::vector<double>{1, 1, 2, 3, 1, 1}));
  EXPECT_EQ(slowdowns.link, (std::vector<double>{1, 1, 3, 3, 1, 1}));
}

}  // namespace
}  // namespace weft
