#include "graph/expert_homes.h"

#include <gtest/gtest.h>

namespace weft {
namespace {

TEST(ExpertHomesTest, ByTheConfigurationExpertEIsAtHomeE) {
  const ExpertHomes homes(5);
  EXPECT_EQ(homes.experts(), 5);
  EXPECT_TRUE(homes.as_configured());
  for (int32_t e = 0; e < 5; ++e) {
    EXPECT_EQ(homes.expert_at(e), e);
    EXPECT_EQ(homes.home_of(e), e);
  }
  EXPECT_EQ(ExpertHomes().experts(), 0);
}

TEST(ExpertHomesTest, BothWaysAgree) {
  const auto homes = ExpertHomes::Make({2, 0, 3, 1});
  ASSERT_TRUE(homes.ok()) << homes.status();
  EXPECT_FALSE(homes->as_configured());
  EXPECT_EQ(homes->by_home(), (std::vector<int32_t>{2, 0, 3, 1}));
  for (int32_t home = 0; home < 4; ++home) {
    EXPECT_EQ(homes->home_of(homes->expert_at(home)), home);
  }
  EXPECT_EQ(*ExpertHomes::Make({0, 1, 2}), ExpertHomes(3));
  EXPECT_NE(*homes, ExpertHomes(4));
}

TEST(ExpertHomesTest, RefusesExpertsWithoutAHomeOfTheirOwn) {
  for (const std::vector<int32_t>& wrong : {std::vector<int32_t>{0, 0, 1}, {0, 1, 3}, {0, -1, 2}}) {
    const auto homes = ExpertHomes::Make(wrong);
    EXPECT_EQ(homes.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_NE(homes.status().message().find("each of experts 0 to 2 must live at one home"),
              absl::string_view::npos)
        << homes.status();
  }
}

}  // namespace
}  // namespace weft
