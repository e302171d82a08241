// What a rank does with its tensors it does through kernels, communicators and copies alone: steps
// run on memory that the host may not touch, as on a device, and give the bits of any other run.

#include <gtest/gtest.h>

#include <vector>

#include "tests/runtime/tiny_job.h"
#include "tests/support/guarded_memory.h"
#include "tests/support/spawn_ranks.h"

namespace weft {
namespace {

struct Case {
  const char* name;
  Topology topology;
  Layout layout;
  Placements placements = {};
  int32_t micro_batches = 1;
  bool cut_blocks = false;
  AllToAllAlgorithm all_to_all = AllToAllAlgorithm::kDirect;
  Routing routing = Routing::kLearned;
};

// Every way for rows, weights and gradients through a rank.
std::vector<Case> Cases() {
  const ExpertPlacement home(6, 1);
  return {
      {"OneRank", {1, 1}, {}, {}, 2},
      {"ForcedRouting", {1, 1}, {}, {}, 1, true, AllToAllAlgorithm::kDirect, Routing::kForced},
      {"EpEsp", {4, 2}, {1, 2, 2}, {}, 2, true},
      {"TwoDh", {4, 2}, {1, 4, 1}, {}, 1, false, AllToAllAlgorithm::k2DH},
      {"OneDh", {4, 2}, {1, 4, 1}, {}, 1, true, AllToAllAlgorithm::k1DH},
      {"Copies", {2, 2}, {1, 2, 1}, {{{0, {{0, 1, 2, 5}, {0, 3, 4, 5}}}}, {}}, 2},
      {"Gathered", {2, 2}, {1, 1, 2}, {{{0, home.by_member(), 2}, {1, home.by_member(), 2}}, {}}},
      {"SharedHeads", {2, 2}, {1, 2, 1, 2}},
      {"ShardedUpdate", {4, 2}, {2, 2, 1, 1, 1}},
  };
}

std::vector<TinyResult> RunRanks(const TinyJob& job) {
  std::vector<TinyResult> results(static_cast<size_t>(job.topology.world_size));
  const absl::Status status =
      SpawnRanks(job.topology.world_size, [&](Backend& backend) -> absl::Status {
        auto result = RunTinyJob(backend, job);
        if (!result.ok()) return result.status();
        results[static_cast<size_t>(backend.rank())] = *std::move(result);
        return absl::OkStatus();
      });
  EXPECT_TRUE(status.ok()) << status;
  return results;
}

class GuardedMemoryTest : public testing::TestWithParam<Case> {};

TEST_P(GuardedMemoryTest, StepsTouchTensorsThroughKernelsAlone) {
  const Case& c = GetParam();
  TinyJob job;
  job.model = TinyModel(Backbone::kMixtral);
  job.model.moe.routing = c.routing;
  job.topology = c.topology;
  job.layout = c.layout;
  job.placements = c.placements;
  job.micro_batches = c.micro_batches;
  job.cut_blocks = c.cut_blocks;
  job.all_to_all = c.all_to_all;
  job.steps = 3;
  job.forward_degree = 2;
  job.backward_degree = 3;
  job.slices = 2;
  const std::vector<TinyResult> anywhere = RunRanks(job);
  job.guarded = true;
  const std::vector<TinyResult> guarded = RunRanks(job);
  for (size_t rank = 0; rank < guarded.size(); ++rank) {
    EXPECT_EQ(guarded[rank].losses, anywhere[rank].losses);
    EXPECT_EQ(guarded[rank].norms, anywhere[rank].norms);
    EXPECT_EQ(guarded[rank].values, anywhere[rank].values);
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, GuardedMemoryTest, testing::ValuesIn(Cases()),
                         [](const auto& test) { return test.param.name; });

TEST(GuardedMemoryDeathTest, WhoeverTouchesItDies) {
  GuardedMemory memory;
  auto* const number = static_cast<float*>(memory.Allocate(64));
  EXPECT_DEATH(*number = 1, "");
  float value = 2;
  memory.FromHost(View(&value, {1}), View(number, {1}));
  EXPECT_DEATH(value = *number, "");
  memory.ToHost(View(number, {1}), View(&value, {1}));
  EXPECT_EQ(value, 2);
}

}  // namespace
}  // namespace weft
