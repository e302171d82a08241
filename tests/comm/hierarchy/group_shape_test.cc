#include "comm/hierarchy/group_shape.h"

#include "gtest/gtest.h"

namespace weft {
namespace {

std::vector<RankId> Ranks(const std::vector<int>& values) {
  std::vector<RankId> ranks;
  ranks.reserve(values.size());
  for (int value : values) ranks.push_back(RankId{value});
  return ranks;
}

std::string ErrorOf(const std::vector<int>& ranks, int ranks_per_node, int me) {
  return std::string(MakeGroupShape(Ranks(ranks), ranks_per_node, RankId{me}).status().message());
}

TEST(GroupShapeTest, CountsNodesAndMembers) {
  EXPECT_EQ(MakeGroupShape(Ranks({0, 1, 2, 3, 4, 5}), 3, RankId{4}).value(), (GroupShape{2, 3, 4}));
  // Every second rank of each node, as with experts cut in two.
  EXPECT_EQ(MakeGroupShape(Ranks({1, 3, 5, 7}), 4, RankId{5}).value(), (GroupShape{2, 2, 2}));
  // Nodes need not be neighbours, nor hold the same local ranks.
  EXPECT_EQ(MakeGroupShape(Ranks({0, 5, 14}), 4, RankId{14}).value(), (GroupShape{3, 1, 2}));
  EXPECT_EQ(MakeGroupShape(Ranks({6}), 4, RankId{6}).value(), (GroupShape{1, 1, 0}));
}

TEST(GroupShapeTest, SaysWhatIsWrong) {
  EXPECT_EQ(ErrorOf({0, 1, 4}, 4, 0),
            "the group has 2 members on node 0 and 1 on node 1: every node must have equally many");
  EXPECT_EQ(ErrorOf({0, 4, 5}, 4, 0),
            "the group has 1 members on node 0 and 2 on node 1: every node must have equally many");
  EXPECT_EQ(ErrorOf({0, 2, 1}, 4, 0), "rank 2 stands before 1: a group's ranks must ascend");
  EXPECT_EQ(ErrorOf({0, 1}, 4, 3), "rank 3 is not one of the group's 2 members");
  EXPECT_EQ(ErrorOf({}, 4, 0), "rank 0 is not one of the group's 0 members");
  EXPECT_EQ(ErrorOf({0}, 0, 0), "ranks_per_node 0: must be at least 1");
  EXPECT_EQ(Validate({0, 2, 0}).message(),
            "a group over 0 nodes with 2 members each: both must be at least 1");
  EXPECT_EQ(Validate({2, 2, 4}).message(), "member 4 of a group of 4: must be 0..3");
  EXPECT_TRUE(Validate({2, 2, 3}).ok());
}

TEST(GroupShapeTest, TiersPartitionTheGroup) {
  const std::vector<RankId> ranks = Ranks({1, 3, 5, 7, 9, 11});
  const GroupShape shape = MakeGroupShape(ranks, 4, RankId{7}).value();
  EXPECT_EQ(shape, (GroupShape{3, 2, 3}));
  EXPECT_EQ(TierRanks(shape, ExchangeTier::kGroup, ranks), ranks);
  EXPECT_EQ(TierRanks(shape, ExchangeTier::kIntraNode, ranks), Ranks({5, 7}));
  EXPECT_EQ(TierRanks(shape, ExchangeTier::kInterNode, ranks), Ranks({3, 7, 11}));
  for (ExchangeTier tier :
       {ExchangeTier::kGroup, ExchangeTier::kIntraNode, ExchangeTier::kInterNode}) {
    EXPECT_EQ(TierMember(shape, tier, TierPlace(shape, tier)), shape.me);
  }
}

}  // namespace
}  // namespace weft
