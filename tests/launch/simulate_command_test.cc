// `weft simulate` as a script sees it: exit code, standard output, one sentence on standard error.

#include "launch/simulate.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "launch/commands/exit_codes.h"

namespace weft {
namespace {

using nlohmann::json;

struct Result {
  int code = 0;
  std::string out;
  std::string err;
};

Result Simulate(const std::vector<std::string>& arguments) {
  std::ostringstream out;
  std::ostringstream err;
  const int code = RunSimulateCommand(arguments, out, err);
  return {code, out.str(), err.str()};
}

double Makespan(const std::string& layer, const std::string& order) {
  const Result result = Simulate({"--layer", layer, "--order", order, "--json"});
  EXPECT_EQ(result.code, kExitDone) << result.err;
  return json::parse(result.out)["makespan"];
}

TEST(SimulateCommandTest, OneLayer) {
  const std::string layer = "r=4,a=3,g=1,e=1,s=5,gar=2";
  EXPECT_DOUBLE_EQ(Makespan(layer, "sequential"), 4 * (3 + 1 + 1 + 5 + 3) + 2);
  EXPECT_DOUBLE_EQ(Makespan(layer, "tutel"), 4 * (4 + 8) + 2);
  EXPECT_DOUBLE_EQ(Makespan(layer, "fsmoe_no_iio"), 4 * (4 + 8) + 2);
  EXPECT_DOUBLE_EQ(Makespan(layer, "fsmoe"), 36);  // (r + 1) a + g + r s hides the gradient
  EXPECT_LE(Makespan(layer, "weft"), 36);
}

TEST(SimulateCommandTest, AJobOnADescribedCluster) {
  const std::string trace = testing::TempDir() + "/weft-simulated-trace.json";
  const std::vector<std::string> model = {"--model",
                                          "configs/quickstart.yaml",
                                          "--cluster",
                                          "configs/clusters/testbed_a.yaml",
                                          "training.global_batch=48",
                                          "model.moe.num_experts=12"};
  std::vector<std::string> arguments = model;
  arguments.insert(arguments.end(), {"--json", "--trace", trace});
  const Result result = Simulate(arguments);
  ASSERT_EQ(result.code, kExitDone) << result.err;
  const json answer = json::parse(result.out);
  EXPECT_EQ(answer["ranks"], 48);
  EXPECT_EQ(answer["policies"].size(), 8u);
  for (const auto& [policy, row] : answer["policies"].items()) {
    EXPECT_LE(answer["policies"]["weft"]["seconds"], row["seconds"]) << policy;
    EXPECT_GE(row["over_bound"].get<double>(), 1 - 1e-9) << policy;
  }
  std::ifstream file(trace);
  const json events = json::parse(file)["traceEvents"];
  size_t spans = 0;
  for (const json& event : events) spans += event["ph"] == "X";
  EXPECT_EQ(spans, answer["policies"]["weft"]["tasks"].get<size_t>());
  std::filesystem::remove(trace);

  const Result table = Simulate(model);
  EXPECT_EQ(table.code, kExitDone);
  EXPECT_NE(table.out.find("flowmoe"), std::string::npos);
}

TEST(SimulateCommandTest, EveryMistakeIsOneSentence) {
  const struct {
    std::vector<std::string> arguments;
    std::string says;
  } cases[] = {
      {{}, "one of --layer, --grid and --model"},
      {{"--layer", "r=4", "--grid", "fsmoe-1458"}, "one of --layer, --grid and --model"},
      {{"--layer", "a=4"}, "r, the number of chunks, is missing"},
      {{"--layer", "r=0"}, "r must be a whole number from 1"},
      {{"--layer", "r=4,b=1"}, "expected r, a, g, e, s and gar"},
      {{"--layer", "r=4,a=1,a=2"}, "once each"},
      {{"--layer", "r=4,a=-1"}, "a must be a time of at least 0"},
      {{"--layer", "r=4,a=nan"}, "a must be a time of at least 0"},
      {{"--layer", "r=4", "--order", "best"}, "use fsmoe, fsmoe_no_iio"},
      {{"--grid", "fsmoe-1458"}, "--cluster FILE"},
      {{"--grid", "fsmoe", "--cluster", "configs/clusters/testbed_a.yaml"}, "use fsmoe-1458"},
      {{"--grid", "fsmoe-1458", "--cluster", "none.yaml"}, "none.yaml"},
      {{"--grid", "fsmoe-1458", "--cluster", "configs/clusters/testbed_a.yaml", "--layers", "0"},
       "--layers must be"},
      {{"--grid", "fsmoe-1458", "--cluster", "configs/clusters/testbed_a.yaml", "--policy", "x"},
       "policy 'x' is not known"},
      {{"--model", "none.yaml", "--cluster", "configs/clusters/testbed_a.yaml"}, "none.yaml"},
      {{"--model", "configs/quickstart.yaml", "--cluster", "configs/clusters/testbed_a.yaml"},
       "must be a multiple of 48 ranks"},
      {{"--model", "configs/quickstart.yaml", "--cluster", "none/profile.json"}, "none/profile"},
  };
  for (const auto& c : cases) {
    const Result result = Simulate(c.arguments);
    EXPECT_EQ(result.code, kExitUsage) << c.says;
    EXPECT_TRUE(result.out.empty()) << result.out;
    EXPECT_NE(result.err.find(c.says), std::string::npos) << result.err << "should say " << c.says;
  }
}

}  // namespace
}  // namespace weft
