// From the cluster section to a layout, and how a run remembers it.

#include <gtest/gtest.h>

#include <fstream>

#include "launch/bootstrap.h"
#include "launch/job_file.h"
#include "tests/runtime/test_directory.h"

namespace weft {
namespace {

TEST(LayoutOfTest, SharingHeadsLeavesExpertsWhereTheyAre) {
  for (const int32_t ep : {0, 1, 2, 4, 8}) {
    ClusterOptions cluster;
    cluster.expert_parallel = ep;
    const auto without = LayoutOf(cluster, {8, 4}, 8);
    cluster.tensor_parallel = 4;
    const auto with = LayoutOf(cluster, {8, 4}, 8);
    ASSERT_TRUE(without.ok() && with.ok()) << with.status();
    EXPECT_EQ(without->mp, 1);
    EXPECT_EQ(with->mp, 4);
    EXPECT_EQ(with->ep, without->ep);
    EXPECT_EQ(with->esp, without->esp);
    EXPECT_EQ(with->edp, without->edp);
  }
}

TEST(LayoutOfTest, AnMpGroupStaysInsideANode) {
  ClusterOptions cluster;
  cluster.tensor_parallel = 4;
  EXPECT_EQ(LayoutOf(cluster, {8, 2}, 8).status().message(),
            "tensor parallelism (mp 4) must stay inside a node: it must divide the 2 ranks of a "
            "node");
}

// The largest numbers that a configuration may have: their product is 2^32.
TEST(LayoutOfTest, LargeGroupsAreRefusedInASentence) {
  ClusterOptions cluster;
  cluster.expert_parallel = cluster.expert_sharding = 65'536;
  EXPECT_EQ(
      LayoutOf(cluster, {8, 4}, 8).status().message(),
      "cluster: expert_parallel 65536 x expert_sharding 65536 does not divide the 8 ranks that "
      "were started; their product must");
  cluster.expert_parallel = 0;
  cluster.expert_sharding = 64;
  EXPECT_EQ(LayoutOf(cluster, {8, 4}, 8).status().message(),
            "cluster: expert_parallel 1 x expert_sharding 64 does not divide the 8 ranks that were "
            "started; their product must");
}

TEST(JobFileTest, RemembersTheLayout) {
  const TestDirectory directory;
  const JobShape shape = {{8, 4}, {2, 2, 2, 4}};
  ASSERT_TRUE(WriteJobFile(directory.path(), shape).ok());
  const auto loaded = LoadJobFile(directory.path());
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(loaded->layout.mp, 4);
  EXPECT_EQ(loaded->layout.edp, 2);
  EXPECT_TRUE(CheckJobFile(directory.path(), shape).ok());
  const absl::Status other = CheckJobFile(directory.path(), {{8, 4}, {2, 2, 2, 2}});
  EXPECT_EQ(other.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(other.message().find("tensor_parallel 4"), std::string::npos) << other;
}

TEST(JobFileTest, ARunFromBeforeMpIsOneWithoutIt) {
  const TestDirectory directory;
  directory.Write("job.json",
                  R"({"world_size": 4, "ranks_per_node": 2, "edp": 1, "ep": 2, "esp": 2})");
  const auto loaded = LoadJobFile(directory.path());
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(loaded->layout.mp, 1);
  EXPECT_TRUE(CheckJobFile(directory.path(), {{4, 2}, {1, 2, 2}}).ok());
}

}  // namespace
}  // namespace weft
