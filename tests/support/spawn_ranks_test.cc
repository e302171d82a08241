#include "tests/support/spawn_ranks.h"

#include <atomic>

#include "base/status_macros.h"
#include "gtest/gtest.h"

namespace weft {
namespace {

TEST(SpawnRanksTest, RunsEveryRankOnce) {
  std::atomic<int> seen{0};
  const absl::Status status = SpawnRanks(3, [&](Backend& backend) {
    EXPECT_EQ(backend.world_size(), 3);
    seen += 1 << (4 * backend.rank());
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(seen, 0x111);
}

// Without the abort the others would wait for an hour.
TEST(SpawnRanksTest, TheFirstErrorReleasesTheOthersAndIsReturned) {
  const absl::Status status = SpawnRanks(3, [](Backend& backend) -> absl::Status {
    const std::vector<RankId> all = {RankId{0}, RankId{1}, RankId{2}};
    WEFT_ASSIGN_OR_RETURN(auto comm, backend.Connect("world", all, absl::Hours(1)));
    if (backend.rank() == 1) return absl::DataLossError("a torn file");
    return comm->Barrier();
  });
  EXPECT_EQ(status, absl::DataLossError("rank 1: a torn file"));
}

}  // namespace
}  // namespace weft
