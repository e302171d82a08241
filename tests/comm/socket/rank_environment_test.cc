#include "comm/socket/rank_environment.h"

#include <stdlib.h>

#include "gtest/gtest.h"

namespace weft {
namespace {

class RankEnvironmentTest : public testing::Test {
 protected:
  void SetUp() override { Clear(); }
  void TearDown() override { Clear(); }
  static void Clear() {
    for (const char* name : {kRankVariable, kWorldSizeVariable, kRendezvousVariable})
      unsetenv(name);
  }
  static void Set(const char* rank, const char* world_size, const char* rendezvous) {
    setenv(kRankVariable, rank, 1);
    setenv(kWorldSizeVariable, world_size, 1);
    setenv(kRendezvousVariable, rendezvous, 1);
  }
  static std::string Words() {
    const absl::Status status = FindRankEnvironment().status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    return std::string(status.message());
  }
};

TEST_F(RankEnvironmentTest, IsWhatTheVariablesSay) {
  Set("3", "4", "/some/where");
  const auto found = FindRankEnvironment();
  ASSERT_TRUE(found.ok() && found->has_value()) << found.status();
  EXPECT_EQ((*found)->rank, 3);
  EXPECT_EQ((*found)->world_size, 4);
  EXPECT_EQ((*found)->rendezvous, "/some/where");
  EXPECT_EQ(VariablesOf(**found), (std::vector<std::string>{"WEFT_RANK=3", "WEFT_WORLD_SIZE=4",
                                                            "WEFT_RENDEZVOUS=/some/where"}));
}

TEST_F(RankEnvironmentTest, NoneOfThemIsNoRank) {
  const auto found = FindRankEnvironment();
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_FALSE(found->has_value());
}

TEST_F(RankEnvironmentTest, HalfOfThemIsAMistake) {
  setenv(kRankVariable, "0", 1);
  EXPECT_EQ(Words(),
            "WEFT_WORLD_SIZE and WEFT_RENDEZVOUS are not set: ranks without MPI need WEFT_RANK, "
            "WEFT_WORLD_SIZE and WEFT_RENDEZVOUS");
  Set("0", "2", "");
  EXPECT_EQ(Words().substr(0, 27), "WEFT_RENDEZVOUS is not set:");
}

TEST_F(RankEnvironmentTest, NumbersThatCannotBeAreRefused) {
  Set("4", "4", "/d");
  EXPECT_EQ(Words(), "WEFT_RANK is '4'; 0 to 3 are allowed");
  Set("-1", "4", "/d");
  EXPECT_EQ(Words(), "WEFT_RANK is '-1'; 0 to 3 are allowed");
  Set("0", "four", "/d");
  EXPECT_EQ(Words(), "WEFT_WORLD_SIZE is 'four'; 1 to 65536 are allowed");
}

}  // namespace
}  // namespace weft
