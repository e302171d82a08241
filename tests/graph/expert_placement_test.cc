#include "graph/expert_placement.h"

#include <gtest/gtest.h>

namespace weft {
namespace {

using Slots = std::vector<int32_t>;

Slots CopiesOf(const ExpertPlacement& placement, int32_t expert) {
  const auto copies = placement.copies(expert);
  return {copies.begin(), copies.end()};
}

ExpertPlacement Placed(int32_t experts, std::vector<std::vector<int32_t>> by_member) {
  auto placement = ExpertPlacement::Make(experts, std::move(by_member));
  EXPECT_TRUE(placement.ok()) << placement.status();
  return *std::move(placement);
}

TEST(ExpertPlacementTest, AtHomeASlotIsAnExpert) {
  for (int32_t experts = 1; experts <= 9; ++experts) {
    for (int32_t ep = 1; ep <= experts; ++ep) {
      const ExpertPlacement home(experts, ep);
      EXPECT_TRUE(home.at_home());
      EXPECT_FALSE(home.has_copies());
      EXPECT_EQ(home.slots(), experts);
      EXPECT_EQ(home.most_moved(), 0);
      for (int32_t e = 0; e < experts; ++e) {
        EXPECT_EQ(CopiesOf(home, e), (Slots{e}));
        const ExpertRange held = ExpertsOf(experts, ep, HomeOf(experts, ep, e));
        EXPECT_TRUE(held.first <= e && e < held.first + held.count);
      }
    }
  }
}

TEST(ExpertPlacementTest, SlotsAreNumberedByMember) {
  const ExpertPlacement p = Placed(4, {{0, 3}, {}, {0, 1, 2}, {0}});
  EXPECT_FALSE(p.at_home());
  EXPECT_TRUE(p.has_copies());
  EXPECT_EQ(p.slots(), 6);
  EXPECT_EQ(p.first_slot(2), 2);
  EXPECT_EQ(p.slots_on(1), 0);
  EXPECT_EQ(CopiesOf(p, 0), (Slots{0, 2, 5}));
  EXPECT_EQ(CopiesOf(p, 2), (Slots{4}));
  // Home 0 lends expert 0 twice; member 2 takes experts 0 and 1.
  EXPECT_EQ(p.most_moved(), 2);
}

TEST(ExpertPlacementTest, RowsGoToTheNearestCopies) {
  const ExpertPlacement p = Placed(2, {{0}, {0}, {1}, {0}});
  EXPECT_EQ(p.SlotsFor(1, 0, 2), (Slots{1}));        // its own
  EXPECT_EQ(p.SlotsFor(2, 0, 2), (Slots{3}));        // on its node
  EXPECT_EQ(p.SlotsFor(2, 0, 1), (Slots{0, 1, 3}));  // none is near: all
  EXPECT_EQ(p.SlotsFor(0, 1, 2), (Slots{2}));
  EXPECT_EQ(p.SlotsFor(2, 0, 4), (Slots{0, 1, 3}));  // all are near
}

TEST(ExpertPlacementTest, RefusesWhatIsNoPlacement) {
  const auto refused = [](std::vector<std::vector<int32_t>> by_member) {
    return std::string(ExpertPlacement::Make(3, std::move(by_member)).status().message());
  };
  EXPECT_NE(refused({{0, 1}, {1}}).find("nobody works for expert 2"), std::string::npos);
  EXPECT_NE(refused({{0, 0}, {1, 2}}).find("each once"), std::string::npos);
  EXPECT_NE(refused({{0, 1}, {-1, 2}}).find("-1 is not"), std::string::npos);
}

}  // namespace
}  // namespace weft
