// Processes that talk over MPI train the same bits as threads of one process.

#include "base/status_macros.h"
#include "gtest/gtest.h"
#include "tests/runtime/tiny_job.h"
#include "tests/support/mpi_main.h"
#include "tests/support/spawn_ranks.h"

namespace weft {
namespace {

absl::StatusOr<std::vector<TinyResult>> RunAsThreads(const TinyJob& job) {
  std::vector<TinyResult> results(static_cast<size_t>(job.topology.world_size));
  WEFT_RETURN_IF_ERROR(SpawnRanks(job.topology.world_size, [&](Backend& backend) -> absl::Status {
    WEFT_ASSIGN_OR_RETURN(results[static_cast<size_t>(backend.rank())], RunTinyJob(backend, job));
    return absl::OkStatus();
  }));
  return results;
}

struct Case {
  const char* name;
  Topology topology;
  Layout layout;
  Backbone backbone;
  AllToAllAlgorithm all_to_all = AllToAllAlgorithm::kDirect;
  bool placed = false;  // nobody at home, and expert 5 on every member
};

constexpr Case kCases[] = {
    {"Gpt2Ep2", {2, 1}, {1, 2, 1}, Backbone::kGpt2},
    {"MixtralEsp2", {2, 2}, {1, 1, 2}, Backbone::kMixtral},
    {"MixtralEdp2", {2, 1}, {2, 1, 1}, Backbone::kMixtral},
    {"MixtralEp2Esp2", {4, 2}, {1, 2, 2}, Backbone::kMixtral},
    {"Gpt2Edp2Ep2", {4, 2}, {2, 2, 1}, Backbone::kGpt2},
    {"MixtralEp4", {4, 2}, {1, 4, 1}, Backbone::kMixtral},
    {"MixtralEp4Pipe", {4, 2}, {1, 4, 1}, Backbone::kMixtral, AllToAllAlgorithm::kPipe},
    {"MixtralEp4In2DH", {4, 2}, {1, 4, 1}, Backbone::kMixtral, AllToAllAlgorithm::k2DH},
    {"MixtralEp4Placed", {4, 2}, {1, 4, 1}, Backbone::kMixtral, AllToAllAlgorithm::kPipe, true},
    {"MixtralMp2Ep4", {4, 2}, {1, 4, 1, 2}, Backbone::kMixtral},
    {"Gpt2Mp2Ep2Esp2", {4, 2}, {1, 2, 2, 2}, Backbone::kGpt2},
    {"MixtralEp4Zero", {4, 2}, {1, 4, 1, 1, 1}, Backbone::kMixtral},
    {"MixtralEp4In1DH", {4, 2}, {1, 4, 1}, Backbone::kMixtral, AllToAllAlgorithm::k1DH},
};

// Every rank runs the same cases in the same order.
TEST(LayoutParityMpiTest, EqualsThreadsBitForBit) {
  MpiSession& session = TestMpiSession();
  int cases = 0;
  for (const Case& c : kCases) {
    if (c.topology.world_size != session.world_size()) continue;
    SCOPED_TRACE(c.name);
    ++cases;
    TinyJob job;
    job.model = TinyModel(c.backbone);
    job.topology = c.topology;
    job.layout = c.layout;
    job.steps = 5;
    job.forward_degree = 2;
    job.backward_degree = 3;
    job.slices = 2;
    job.shuffle = 17;
    job.switch_every = 2;
    job.all_to_all = c.all_to_all;
    job.cut_blocks = true;
    if (c.placed) job.placements.layers = {{0, {{2, 5}, {3, 5}, {0, 4, 5}, {1, 5}}}};
    const auto threads = RunAsThreads(job);
    ASSERT_TRUE(threads.ok()) << threads.status();
    const auto mine = RunTinyJob(*session.MakeBackend(), job);
    ASSERT_TRUE(mine.ok()) << mine.status();
    const TinyResult& expected = (*threads)[static_cast<size_t>(session.rank())];
    EXPECT_EQ(mine->losses, expected.losses);
    EXPECT_EQ(mine->balances, expected.balances);
    EXPECT_EQ(mine->norms, expected.norms);
    EXPECT_EQ(mine->values, expected.values);
  }
  EXPECT_GT(cases, 0) << "no case is for " << session.world_size() << " ranks";
}

}  // namespace
}  // namespace weft
