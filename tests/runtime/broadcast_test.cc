#include "runtime/broadcast.h"

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "gtest/gtest.h"
#include "tests/support/spawn_ranks.h"

namespace weft {
namespace {

using OnControl = std::function<absl::Status(Communicator& control)>;

// Runs fn on worlds of 1, 2 and 4 ranks.
void OnSmallWorlds(const OnControl& fn) {
  for (const int world : {1, 2, 4}) {
    const absl::Status status = SpawnRanks(world, [&](Backend& backend) -> absl::Status {
      std::vector<RankId> all;
      for (int32_t rank = 0; rank < world; ++rank) all.push_back(RankId{rank});
      WEFT_ASSIGN_OR_RETURN(const auto control, backend.Connect("control", all, absl::Seconds(30)));
      return fn(*control);
    });
    EXPECT_TRUE(status.ok()) << world << " ranks: " << status;
  }
}

// Different on every rank, with every byte value, of a length that depends on the rank (0 for 1).
std::string TextOf(int rank) {
  std::string text;
  for (int i = 0; i < 300 * (rank == 1 ? 0 : rank + 1); ++i) {
    text.push_back(static_cast<char>((i * 7 + rank) % 256));
  }
  return text;
}

TEST(BroadcastTextTest, EveryoneGetsTheTextOfRankZero) {
  OnSmallWorlds([](Communicator& control) -> absl::Status {
    WEFT_ASSIGN_OR_RETURN(const std::string text, BroadcastText(control, TextOf(control.rank())));
    EXPECT_EQ(text, TextOf(0)) << "rank " << control.rank();
    WEFT_ASSIGN_OR_RETURN(const std::string empty,
                          BroadcastText(control, control.rank() == 0 ? "" : "ignored"));
    EXPECT_EQ(empty, "");
    return absl::OkStatus();
  });
}

TEST(GatherTextOfAllTest, EveryoneGetsEveryText) {
  OnSmallWorlds([](Communicator& control) -> absl::Status {
    WEFT_ASSIGN_OR_RETURN(const std::vector<std::string> texts,
                          GatherTextOfAll(control, TextOf(control.rank())));
    EXPECT_EQ(texts.size(), static_cast<size_t>(control.size()));
    for (size_t rank = 0; rank < texts.size(); ++rank) {
      EXPECT_EQ(texts[rank], TextOf(static_cast<int>(rank)));
    }
    WEFT_ASSIGN_OR_RETURN(const std::vector<std::string> nothing, GatherTextOfAll(control, ""));
    EXPECT_EQ(nothing, std::vector<std::string>(static_cast<size_t>(control.size())));
    return absl::OkStatus();
  });
}

TEST(AgreeOnStatusTest, IsOkWhenAllAre) {
  OnSmallWorlds([](Communicator& control) { return AgreeOnStatus(control, absl::OkStatus()); });
}

TEST(AgreeOnStatusTest, TheErrorOfTheLowestRankReachesEveryone) {
  OnSmallWorlds([](Communicator& control) -> absl::Status {
    const int last = control.size() - 1;
    // The last rank and, where there are four, the one before it.
    const bool mine = control.rank() == last || (last == 3 && control.rank() == 2);
    const absl::Status agreed = AgreeOnStatus(
        control,
        mine ? absl::DataLossError(absl::StrCat("torn file ", control.rank())) : absl::OkStatus());
    EXPECT_EQ(agreed, last == 0   ? absl::DataLossError("torn file 0")
                      : last == 1 ? absl::DataLossError("rank 1: torn file 1")
                                  : absl::DataLossError("rank 2: torn file 2"));
    // The communicator is as good as before.
    return AgreeOnStatus(control, absl::OkStatus());
  });
}

TEST(AgreeOnMaxTest, IsTheLargestValue) {
  OnSmallWorlds([](Communicator& control) -> absl::Status {
    WEFT_ASSIGN_OR_RETURN(const double most, AgreeOnMax(control, 0.1 * control.rank() - 1));
    EXPECT_EQ(most, 0.1 * (control.size() - 1) - 1);
    return absl::OkStatus();
  });
}

}  // namespace
}  // namespace weft
