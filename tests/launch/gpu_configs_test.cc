// The configurations for GPU machines, on a machine without: each is valid for the ranks it is for,
// and a cluster of that size can be simulated.

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "launch/check.h"
#include "launch/commands/exit_codes.h"
#include "launch/simulate.h"

namespace weft {
namespace {

TEST(GpuConfigsTest, AreValidForTheirRanks) {
  EXPECT_EQ(CheckJob("configs/h100_1gpu.yaml", {}, "1"), kExitDone);
  EXPECT_EQ(CheckJob("configs/h100_node.yaml", {}, "8"), kExitDone);
  EXPECT_EQ(CheckJob("configs/h100_cluster.yaml", {}, "32"), kExitDone);
}

TEST(GpuConfigsTest, CanBeSimulatedOnTheirClusters) {
  for (const auto& [model, cluster] :
       {std::pair("configs/h100_node.yaml", "configs/clusters/h100_1x8.yaml"),
        std::pair("configs/h100_cluster.yaml", "configs/clusters/h100_4x8.yaml")}) {
    std::ostringstream out;
    std::ostringstream err;
    const int code = RunSimulateCommand(
        {"--model", model, "--cluster", cluster, "--policy", "tutel,weft", "--json"}, out, err);
    ASSERT_EQ(code, kExitDone) << err.str();
    const auto policies = nlohmann::json::parse(out.str())["policies"];
    EXPECT_GT(policies["weft"]["speedup"].get<double>(), 1) << model;
  }
}

}  // namespace
}  // namespace weft
