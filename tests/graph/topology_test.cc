#include "graph/topology.h"

#include <gtest/gtest.h>

namespace weft {
namespace {

std::vector<int32_t> Values(const std::vector<RankId>& ranks) {
  std::vector<int32_t> values;
  values.reserve(ranks.size());
  for (const RankId rank : ranks) values.push_back(rank.value);
  return values;
}

TEST(TopologyTest, GroupsOfTwoNodesWithFourRanks) {
  const Topology topology{8, 4};
  const Layout layout{2, 2, 2};  // rank = (edp * 2 + ep) * 2 + esp
  ASSERT_TRUE(ValidateLayout(topology, layout, 4).ok());
  const RankId rank{5};
  using V = std::vector<int32_t>;
  EXPECT_EQ(Values(GroupOf(topology, layout, GroupKind::kNone, rank)), (V{5}));
  EXPECT_EQ(Values(GroupOf(topology, layout, GroupKind::kWorld, rank)),
            (V{0, 1, 2, 3, 4, 5, 6, 7}));
  EXPECT_EQ(Values(GroupOf(topology, layout, GroupKind::kIntra, rank)), (V{4, 5, 6, 7}));
  EXPECT_EQ(Values(GroupOf(topology, layout, GroupKind::kInter, rank)), (V{1, 5}));
  EXPECT_EQ(Values(GroupOf(topology, layout, GroupKind::kEp, rank)), (V{5, 7}));
  EXPECT_EQ(Values(GroupOf(topology, layout, GroupKind::kEsp, rank)), (V{4, 5}));
  EXPECT_EQ(Values(GroupOf(topology, layout, GroupKind::kEdp, rank)), (V{1, 5}));
}

TEST(TopologyTest, RanksThatShareHeadsFollowEachOther) {
  const Topology topology{16, 8};
  for (const Layout& layout : {Layout{1, 16, 1, 2}, Layout{2, 1, 8, 2}, Layout{4, 2, 2, 2}}) {
    ASSERT_TRUE(ValidateLayout(topology, layout, 16).ok());
    using V = std::vector<int32_t>;
    EXPECT_EQ(Values(GroupOf(topology, layout, GroupKind::kMp, RankId{11})), (V{10, 11}));
    EXPECT_EQ(Values(GroupOf(topology, layout, GroupKind::kMpPeers, RankId{11})),
              (V{9, 11, 13, 15}));
    EXPECT_EQ(layout.mp_index(RankId{11}), 1);
    // Between nodes the ranks of equal place hold the same heads.
    for (const RankId peer : GroupOf(topology, layout, GroupKind::kInter, RankId{11}))
      EXPECT_EQ(layout.mp_index(peer), 1);
  }
  EXPECT_EQ(Values(GroupOf(topology, {1, 16, 1, 8}, GroupKind::kMpPeers, RankId{3})),
            std::vector<int32_t>{3});
}

TEST(TopologyTest, EveryKindPartitionsTheWorld) {
  for (const auto& [topology, layout] : {std::pair<Topology, Layout>{{12, 3}, {1, 4, 3}},
                                         {{12, 6}, {2, 2, 3}},
                                         {{12, 6}, {2, 2, 3, 3}},
                                         {{12, 6}, {1, 6, 2, 2}},
                                         {{4, 4}, {1, 4, 1}},
                                         {{1, 1}, {1, 1, 1}}}) {
    ASSERT_TRUE(ValidateLayout(topology, layout, 8).ok());
    for (int kind = 0; kind <= static_cast<int>(GroupKind::kMpPeers); ++kind) {
      for (int32_t rank = 0; rank < topology.world_size; ++rank) {
        const auto group = GroupOf(topology, layout, static_cast<GroupKind>(kind), RankId{rank});
        bool member = false;
        for (const RankId other : group) {
          member |= other.value == rank;
          EXPECT_EQ(GroupOf(topology, layout, static_cast<GroupKind>(kind), other), group);
        }
        EXPECT_TRUE(member);
      }
    }
    EXPECT_EQ(GroupOf(topology, layout, GroupKind::kEp, RankId{0}).size(),
              static_cast<size_t>(layout.ep));
    EXPECT_EQ(GroupOf(topology, layout, GroupKind::kEdp, RankId{0}).size(),
              static_cast<size_t>(layout.edp));
    EXPECT_EQ(GroupOf(topology, layout, GroupKind::kMp, RankId{0}).size(),
              static_cast<size_t>(layout.mp));
    EXPECT_EQ(GroupOf(topology, layout, GroupKind::kMpPeers, RankId{0}).size(),
              static_cast<size_t>(topology.ranks_per_node / layout.mp));
  }
}

TEST(TopologyTest, SlowestLinkOfAGroup) {
  const Topology topology{4, 2};
  EXPECT_EQ(LinkOf(topology, {RankId{1}}), LinkClass::kNone);
  EXPECT_EQ(LinkOf(topology, {RankId{2}, RankId{3}}), LinkClass::kIntraNode);
  EXPECT_EQ(LinkOf(topology, {RankId{1}, RankId{2}}), LinkClass::kInterNode);
}

TEST(TopologyTest, RefusesLayoutsThatDoNotFit) {
  const auto refused = [](Topology topology, Layout layout, int32_t experts) {
    return ValidateLayout(topology, layout, experts).code() == absl::StatusCode::kInvalidArgument;
  };
  EXPECT_TRUE(refused({6, 4}, {1, 6, 1}, 8));
  EXPECT_TRUE(refused({0, 1}, {1, 1, 1}, 8));
  EXPECT_TRUE(refused({8, 0}, {1, 8, 1}, 8));
  EXPECT_TRUE(refused({8, 4}, {1, 4, 4}, 8));
  EXPECT_TRUE(refused({8, 4}, {1, 8, 0}, 8));
  EXPECT_TRUE(refused({8, 4}, {-1, -8, 1}, 8));
  EXPECT_TRUE(refused({8, 2}, {1, 2, 4}, 8));  // ESP across nodes
  EXPECT_TRUE(refused({6, 3}, {1, 3, 2}, 8));  // an ESP group would straddle two nodes
  EXPECT_TRUE(refused({8, 4}, {1, 8, 1}, 7));  // a rank without experts
  EXPECT_TRUE(refused({8, 4}, {1, 8, 1, 0}, 8));
  EXPECT_TRUE(refused({6, 3}, {1, 6, 1, 2}, 8));  // an MP group would straddle two nodes
  EXPECT_EQ(ValidateLayout({8, 2}, {1, 8, 1, 4}, 8).message(),
            "tensor parallelism (mp 4) must stay inside a node: it must divide the 2 ranks of a "
            "node");
  EXPECT_TRUE(refused({8, 4}, {1 << 20, 1 << 20, 1 << 24}, 8));
  EXPECT_FALSE(refused({8, 4}, {1, 2, 4}, 3));
}

}  // namespace
}  // namespace weft
