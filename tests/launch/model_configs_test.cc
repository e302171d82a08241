// The published models in configs/models: their dimensions add up to the published numbers of
// parameters, they are valid, and they can be simulated on every kind of cluster that we describe.

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "launch/check.h"
#include "launch/commands/exit_codes.h"
#include "launch/simulate.h"
#include "scheduler/policies.h"

namespace weft {
namespace {

constexpr char kModels[] = "configs/models";

std::vector<std::string> ModelFiles() {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(kModels))
    files.push_back(entry.path().string());
  std::sort(files.begin(), files.end());
  return files;
}

nlohmann::json SimulateOn(const std::string& cluster, const std::string& model,
                          const std::vector<std::string>& more) {
  std::vector<std::string> arguments = {"--model", model, "--cluster", cluster, "--json"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  std::ostringstream out;
  std::ostringstream err;
  const int code = RunSimulateCommand(arguments, out, err);
  EXPECT_EQ(code, kExitDone) << model << " on " << cluster << ": " << err.str();
  return code == kExitDone ? nlohmann::json::parse(out.str()) : nlohmann::json();
}

// All parameters as the models' pages count them, without what the file says is different; of
// GPT-2 XL, with seven more experts and a router in each of 48 layers; DeepSeekMoE's dense layer
// has experts like the others.
TEST(ModelConfigsTest, HaveAsManyParametersAsPublished) {
  const int64_t small = int64_t{3} * 2048 * 1408;
  const int64_t expert = 2 * 1600 * 6400 + 6400 + 1600;
  const std::map<std::string, int64_t> published = {
      {"deepseek_moe_16b.yaml",
       16'375'728'128 - 102'400 * 2048 + 66 * small + 64 * 2048 - int64_t{3} * 2048 * 10944},
      {"gpt2_xl_moe.yaml", 1'557'611'200 + 48 * (7 * expert + 8 * 1600)},
      {"mixtral_8x22b.yaml", 140'620'634'112 - 32'000 * 6144},
      {"mixtral_8x7b.yaml", 46'702'792'704 - 32'000 * 4096},
      {"olmoe_1b_7b.yaml", 6'919'161'856 - 50'304 * 2048 - 16 * 2 * 2048},
      {"qwen3_30b_a3b_like.yaml",
       30'532'122'624 - 151'936 * 2048 - 48 * 2 * (128 + int64_t{2048} * 2048)},
  };
  ASSERT_EQ(ModelFiles().size(), published.size());
  for (const std::string& file : ModelFiles()) {
    const auto answer =
        SimulateOn("configs/clusters/h100_4x8.yaml", file, {"--policy", "sequential"});
    const auto name = std::filesystem::path(file).filename().string();
    ASSERT_TRUE(published.contains(name)) << name;
    EXPECT_EQ(answer["parameters"], published.at(name)) << name;
  }
}

TEST(ModelConfigsTest, AreValidForEveryClusterSize) {
  for (const std::string& file : ModelFiles()) {
    for (const char* ranks : {"8", "32", "48"}) {
      EXPECT_EQ(CheckJob(file, {"cluster.ranks_per_node=8", "model.num_layers=1"}, ranks),
                kExitDone)
          << file << " on " << ranks;
    }
  }
}

TEST(ModelConfigsTest, AreSimulatedUnderEveryPolicyAndNoneIsFasterThanWeft) {
  for (const std::string& file : ModelFiles()) {
    for (const char* cluster :
         {"configs/clusters/testbed_a.yaml", "configs/clusters/testbed_b.yaml",
          "configs/clusters/h100_1x8.yaml", "configs/clusters/h100_4x8.yaml"}) {
      SCOPED_TRACE(file + " on " + cluster);
      const auto answer = SimulateOn(cluster, file, {"model.num_layers=2"});
      ASSERT_EQ(answer["policies"].size(), PolicyNames().size());
      const double weft = answer["policies"]["weft"]["seconds"];
      for (const auto& [policy, row] : answer["policies"].items()) {
        EXPECT_LE(weft, row["seconds"].get<double>()) << policy;
        EXPECT_GE(row["over_bound"].get<double>(), 1 - 1e-9) << policy;
      }
      EXPECT_LT(weft, answer["policies"]["sequential"]["seconds"].get<double>());
    }
  }
}

// The same file in another layout, by KEY=VALUE, and what rank 0 takes in each.
TEST(ModelConfigsTest, TakeALayoutFromTheCommandLine) {
  const std::string file = "configs/models/olmoe_1b_7b.yaml";
  const std::vector<std::string> quick = {"--policy", "sequential", "model.num_layers=2"};
  const auto with = [&](std::vector<std::string> overrides) {
    overrides.insert(overrides.end(), quick.begin(), quick.end());
    return SimulateOn("configs/clusters/h100_4x8.yaml", file, overrides);
  };
  const auto aligned = with({});
  EXPECT_EQ(aligned["layout"],
            (nlohmann::json{{"edp", 1}, {"ep", 4}, {"esp", 8}, {"mp", 1}, {"zero_stage", 1}}));
  const auto whole = with({"cluster.expert_parallel=16", "cluster.tensor_parallel=4"});
  EXPECT_EQ(whole["layout"],
            (nlohmann::json{{"edp", 2}, {"ep", 16}, {"esp", 1}, {"mp", 4}, {"zero_stage", 1}}));
  EXPECT_GT(aligned["memory_bytes"], 0);
  EXPECT_NE(aligned["memory_bytes"], whole["memory_bytes"]);
}

}  // namespace
}  // namespace weft
