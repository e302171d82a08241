#include "launch/config/cluster_file.h"

#include <gtest/gtest.h>

namespace weft {
namespace {

constexpr char kGood[] = R"(name: two
nodes: 2
ranks_per_node: 4
links:
  intra: {latency: 5us, bandwidth: 10GB/s}
  inter: {latency: 20us, bandwidth: 1GB/s}
collectives:
  all_to_all: {alpha: 0.3ms, seconds_per_element: 2e-6ms}
compute:
  matmul: {alpha: 40us, seconds_per_mac: 9e-11ms}
stragglers: [{rank: 3, compute: 1.5}, {node: 1, link: 2, compute: 3}]
)";

TEST(ClusterFileTest, ReadsWhatIsThere) {
  const auto file = LoadClusterText(kGood, "c.yaml");
  ASSERT_TRUE(file.ok()) << file.status();
  const Cluster& cluster = file->cluster;
  EXPECT_EQ(cluster.name, "two");
  EXPECT_EQ(cluster.topology.world_size, 8);
  EXPECT_EQ(cluster.topology.ranks_per_node, 4);
  EXPECT_DOUBLE_EQ(cluster.speeds.inter.bandwidth, 1e9);
  ASSERT_TRUE(cluster.all_to_all.has_value());
  EXPECT_EQ(cluster.all_to_all->group_size, 2);  // the nodes
  EXPECT_DOUBLE_EQ(cluster.all_to_all->per_element.beta, 2e-9);
  EXPECT_FALSE(cluster.all_gather.has_value());
  EXPECT_DOUBLE_EQ(cluster.matmul->alpha, 40e-6);
  ASSERT_EQ(cluster.stragglers.size(), 2u);
  EXPECT_EQ(cluster.stragglers[0].rank, 3);
  EXPECT_EQ(cluster.stragglers[0].compute, 1.5);
  EXPECT_EQ(cluster.stragglers[0].link, 1);
  EXPECT_EQ(cluster.stragglers[1].rank, -1);
  EXPECT_EQ(cluster.stragglers[1].node, 1);
  EXPECT_EQ(cluster.stragglers[1].link, 2);
}

TEST(ClusterFileTest, TheTestbedsAreReadable) {
  for (const char* name : {"testbed_a", "testbed_b"}) {
    const auto file = LoadClusterFile(std::string("configs/clusters/") + name + ".yaml");
    ASSERT_TRUE(file.ok()) << file.status();
    EXPECT_EQ(file->cluster.name, name);
    EXPECT_TRUE(file->cluster.all_reduce.has_value());
    EXPECT_EQ(file->grid_lengths.size(), 3u);
  }
}

TEST(ClusterFileTest, EveryMistakeIsNamed) {
  const struct {
    std::string what, by, says;
  } cases[] = {
      {"  inter: {latency: 20us, bandwidth: 1GB/s}\n", "", "links.inter.latency is missing"},
      {", bandwidth: 10GB/s", "", "links.intra.bandwidth is missing"},
      {"nodes: 2\n", "", "nodes is missing"},
      {"nodes: 2", "nodes: 0", "nodes must be a whole number of at least 1"},
      {"nodes: 2", "nodes: 2.5", "nodes must be a whole number"},
      {"nodes: 2", "nodes: 1048576", "at most"},
      {"latency: 5us", "latency: -5us", "links.intra.latency must be a duration"},
      {"bandwidth: 1GB/s", "bandwidth: fast", "links.inter.bandwidth must be a rate"},
      {"bandwidth: 1GB/s", "bandwith: 1GB/s", "did you mean 'links.inter.bandwidth'"},
      {", seconds_per_element: 2e-6ms", "",
       "collectives.all_to_all.seconds_per_element is missing"},
      {"  matmul: {alpha: 40us, seconds_per_mac: 9e-11ms}", "  matmul: 7",
       "compute.matmul must be a map"},
      {"name: two", "name: [two]", "name must be a text"},
      {"name: two", "grid_lengths: 7", "grid_lengths must be a list"},
      {"[{rank: 3, compute: 1.5}, ", "7 #", "stragglers must be a list such as"},
      {"{rank: 3, compute: 1.5}", "3", "a straggler is a map such as"},
      {"compute: 1.5", "speed: 1.5", "unknown key 'speed' of a straggler: use rank, node, compute"},
      {"compute: 1.5", "compute: 0.5", "stragglers.compute must be a number of at least 1"},
      {"rank: 3, compute: 1.5", "compute: 1.5", "a straggler names one rank or one node"},
      {"rank: 3, compute: 1.5", "rank: 3", "straggler rank 3 needs a factor"},
      {"rank: 3, compute: 1.5", "rank: 8, compute: 2", "rank must be from 0 to 7, not 8"},
      {"node: 1", "node: 2", "node must be from 0 to 1, not 2"},
      {"node: 1", "node: -1", "stragglers.node must be a whole number of at least 0"},
  };
  for (const auto& c : cases) {
    std::string text = kGood;
    const size_t at = text.find(c.what);
    ASSERT_NE(at, std::string::npos) << c.what;
    text.replace(at, c.what.size(), c.by);
    const absl::Status status = LoadClusterText(text, "c.yaml").status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << c.says;
    EXPECT_NE(std::string(status.message()).find(c.says), std::string::npos)
        << status.message() << " should say: " << c.says;
    EXPECT_NE(std::string(status.message()).find("c.yaml"), std::string::npos) << status;
  }
  EXPECT_FALSE(LoadClusterText("", "c.yaml").ok());
  EXPECT_FALSE(LoadClusterFile("configs/clusters/none.yaml").ok());
}

}  // namespace
}  // namespace weft
