#include "launch/config/suggest.h"

#include "gtest/gtest.h"

namespace weft {
namespace {

TEST(NearestWordTest, FindsSlipsOfTheHand) {
  const std::vector<std::string_view> words = {"num_experts", "top_k", "every", "beta1", "beta2"};
  EXPECT_EQ(NearestWord("num_expert", words), "num_experts");
  EXPECT_EQ(NearestWord("topk", words), "top_k");
  EXPECT_EQ(NearestWord("evrey", words), "every");
  EXPECT_EQ(NearestWord("beta", words), "beta1");
  EXPECT_EQ(NearestWord("NUM_experts", words), "num_experts");
}

TEST(NearestWordTest, StaysSilentRatherThanGuess) {
  const std::vector<std::string_view> words = {"num_experts", "top_k"};
  EXPECT_EQ(NearestWord("capacity", words), "");
  EXPECT_EQ(NearestWord("", words), "");
  EXPECT_EQ(NearestWord(std::string(1000, 'x'), words), "");
  EXPECT_EQ(NearestWord("top_k", {}), "");
}

}  // namespace
}  // namespace weft
