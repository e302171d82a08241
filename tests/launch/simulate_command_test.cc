// `weft simulate` as a script sees it: exit code, standard output, one sentence on standard error.

#include "launch/simulate.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "graph/profile_table.h"
#include "launch/bootstrap.h"
#include "launch/commands/exit_codes.h"
#include "launch/config/config.h"
#include "launch/job_file.h"
#include "models/build_step_graph.h"
#include "runtime/batch_shape_of.h"
#include "tests/runtime/test_directory.h"

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

std::vector<std::string> With(std::vector<std::string> arguments,
                              const std::vector<std::string>& more) {
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

const std::vector<std::string> kOnTestbed = {"--model",
                                             "configs/quickstart.yaml",
                                             "--cluster",
                                             "configs/clusters/testbed_a.yaml",
                                             "training.global_batch=48",
                                             "model.moe.num_experts=12",
                                             "cluster.expert_parallel=6",
                                             "cluster.expert_sharding=8",
                                             "--policy",
                                             "tutel,weft"};

TEST(SimulateCommandTest, RanksThatDiffer) {
  const std::string trace = testing::TempDir() + "/weft-simulated-ranks.json";
  const Result result = Simulate(With(
      kOnTestbed, {"--json", "--workload", "w2", "--straggler", "rank=3,compute=1.5;node=5,link=2",
                   "--trace", trace, "--trace-ranks", "47,3"}));
  ASSERT_EQ(result.code, kExitDone) << result.err;
  const json answer = json::parse(result.out);
  EXPECT_EQ(answer["load"].get<std::string>().rfind("w2 (hot rank", 0), 0u);
  for (const auto& [policy, row] : answer["policies"].items()) {
    const json& world = row["world"];
    EXPECT_EQ(world["balanced_seconds"], row["seconds"]) << policy;
    EXPECT_GT(world["ratio"].get<double>(), 1.05) << policy;
    EXPECT_DOUBLE_EQ(world["ratio"].get<double>() * world["balanced_seconds"].get<double>(),
                     world["seconds"].get<double>());
    EXPECT_EQ(world["slowest_rank"]["node"], 5) << policy << ": every collective of it is slow";
    EXPECT_GT(world["waiting_share"].get<double>(), 0);
    for (const auto& [stream, share] : world["busy_share"].items()) {
      EXPECT_GT(share.get<double>(), 0) << stream;
      EXPECT_LT(share.get<double>(), 1) << stream;
    }
  }
  std::ifstream file(trace);
  const json events = json::parse(file)["traceEvents"];
  std::map<int, size_t> spans;
  for (const json& event : events) spans[event["pid"]] += event["ph"] == "X";
  const auto tasks = answer["policies"]["weft"]["tasks"].get<size_t>();
  EXPECT_EQ(spans, (std::map<int, size_t>{{3, tasks}, {47, tasks}}));
  std::filesystem::remove(trace);

  const Result table = Simulate(With(kOnTestbed, {"--straggler", "rank=3,compute=1.5"}));
  EXPECT_EQ(table.code, kExitDone) << table.err;
  EXPECT_NE(table.out.find("48 ranks, expected load, 1 straggler\n"), std::string::npos);
}

TEST(SimulateCommandTest, TheTableSaysWhetherItFitsAndWhatItLeavesOut) {
  const auto table = [](const std::vector<std::string>& more) {
    const Result result = Simulate(With(kOnTestbed, more));
    EXPECT_EQ(result.code, kExitDone) << result.err;
    return result.out;
  };
  const std::string even = table({});
  EXPECT_NE(even.find("experts over 6 ranks x 8 shards; rank 0 takes about"), std::string::npos)
      << even;
  EXPECT_EQ(even.find("evenly"), std::string::npos) << even;
  const std::string uneven = table({"model.moe.num_experts=8"});
  EXPECT_NE(uneven.find("8 experts do not divide evenly over 6 ranks"), std::string::npos)
      << uneven;
  const std::string world = table({"model.moe.num_experts=8", "--workload", "w0"});
  EXPECT_EQ(world.find("evenly"), std::string::npos) << world;
}

TEST(SimulateCommandTest, RowsFromAFile) {
  const std::string path = testing::TempDir() + "/weft-counts.json";
  const auto write = [&](const json& layers) { std::ofstream(path) << json{{"layers", layers}}; };
  const auto simulate = [&] { return Simulate(With(kOnTestbed, {"--json", "--counts", path})); };
  // 128 tokens a rank, two choices each: all for expert 0.
  json hot = json::array();
  for (int rank = 0; rank < 48; ++rank) {
    hot.push_back(json::array({256, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}));
  }
  write(json::array({hot}));
  const Result result = simulate();
  ASSERT_EQ(result.code, kExitDone) << result.err;
  EXPECT_GT(json::parse(result.out)["policies"]["weft"]["world"]["ratio"].get<double>(), 1.4);
  write(json::array({hot, hot, hot, hot}));
  EXPECT_EQ(simulate().out, result.out) << "a matrix for each of four layers";
  const auto fails = [&](const json& layers, const std::string& says) {
    write(layers);
    const Result bad = simulate();
    EXPECT_EQ(bad.code, kExitUsage);
    EXPECT_NE(bad.err.find(says), std::string::npos) << bad.err << "should say " << says;
    EXPECT_NE(bad.err.find(path), std::string::npos) << bad.err;
  };
  fails(json::array({hot, hot}), "1 matrix or one for each of 4 layers with experts, not 2");
  fails(7, "a list 'layers'");
  json broken = hot;
  broken.erase(0);
  fails(json::array({broken}), "layers[0] must be a list of 48 ranks");
  broken = hot;
  broken[5].erase(0);
  fails(json::array({broken}), "a list of 12 experts' rows");
  broken = hot;
  broken[5][0] = -1;
  fails(json::array({broken}), "rows must be whole numbers from 0");
  std::filesystem::remove(path);
}

TEST(SimulateCommandTest, EveryMistakeOfRanksThatDifferIsOneSentence) {
  const struct {
    std::vector<std::string> arguments;
    std::string says;
  } cases[] = {
      {{"--workload", "w8"}, "workload 'w8' is not known: use w0, w1"},
      {{"--workload", "w2", "--step", "-1"}, "--step must be a whole number"},
      {{"--workload", "w2", "--counts", "x.json"}, "one of --workload and --counts"},
      {{"--counts", "none.json"}, "none.json"},
      {{"--workload", "w2", "model.moe.capacity_mode=factor"}, "capacity_mode must be dropless"},
      {{"--straggler", "rank=48,compute=2"}, "rank must be from 0 to 47, not 48"},
      {{"--straggler", "3"}, "such as rank=3,compute=1.5"},
      {{"--trace-ranks", "1"}, "--trace-ranks needs --trace"},
      {{"--trace", "t.json", "--trace-ranks", "1,48"}, "ranks from 0 to 47"},
  };
  for (const auto& c : cases) {
    const Result result = Simulate(With(kOnTestbed, c.arguments));
    EXPECT_EQ(result.code, kExitUsage) << c.says;
    EXPECT_TRUE(result.out.empty()) << result.out;
    EXPECT_NE(result.err.find(c.says), std::string::npos) << result.err << "should say " << c.says;
  }
  const Result layer = Simulate({"--layer", "r=4", "--workload", "w2"});
  EXPECT_NE(layer.err.find("only --model takes --workload"), std::string::npos) << layer.err;
}

// A run directory as the quickstart leaves it on four ranks: every cost of its step was measured,
// as a line that takes `times` as long as the first one.
class SavedProfile {
 public:
  SavedProfile() {
    const auto config = LoadConfig("configs/quickstart.yaml", {});
    EXPECT_TRUE(config.ok()) << config.status();
    const JobOptions& o = config->options;
    const Topology topology = {4, o.cluster.ranks_per_node};
    const auto layout = LayoutOf(o.cluster, topology, o.model.moe.num_experts);
    EXPECT_TRUE(layout.ok()) << layout.status();
    graph_ = BuildStepGraph(o.model, topology, *layout, BatchShapeOf(o.training, topology),
                            StepKind::kTraining);
    EXPECT_TRUE(WriteJobFile(directory_.path(), {topology, *layout}).ok());
  }

  // Every task takes `times` (100 us + 1 ns for each unit of its size).
  void Write(double times, const CostKey* without = nullptr) {
    ProfileTable profile;
    for (const Op& op : graph_.ops) {
      const double alpha = 1e-4 * times;
      const double beta = 1e-9 * times;
      CostEntry entry;
      for (const double size : {0.0, 1e9}) entry.samples.push_back({size, alpha + beta * size});
      entry.fit = {alpha, beta, 1, 0, true};
      profile.entries[CalibrationKey(op.key)] = entry;
    }
    if (without != nullptr) profile.entries.erase(CalibrationKey(*without));
    directory_.Write("profile.json", ProfileToJson(profile));
  }

  std::string path() const { return directory_.path() + "/profile.json"; }
  const CostKey& key_of(OpKind kind) const {
    for (const Op& op : graph_.ops) {
      if (op.key.kind == kind) return op.key;
    }
    ADD_FAILURE() << "the step has no such operation";
    return graph_.ops.front().key;
  }

 private:
  TestDirectory directory_;
  StepGraph graph_;
};

TEST(SimulateCommandTest, ASavedProfileStandsForItsCluster) {
  SavedProfile profile;
  const auto simulate = [&](const std::vector<std::string>& more) {
    return Simulate(
        With({"--model", "configs/quickstart.yaml", "--cluster", profile.path(), "--json"}, more));
  };
  profile.Write(1);
  const Result once = simulate({});
  ASSERT_EQ(once.code, kExitDone) << once.err;
  const json answer = json::parse(once.out);
  EXPECT_EQ(answer["cluster"], profile.path());
  EXPECT_EQ(answer["ranks"], 4);
  ASSERT_EQ(answer["policies"].size(), 8u);
  for (const auto& [policy, row] : answer["policies"].items()) {
    EXPECT_LE(answer["policies"]["weft"]["seconds"], row["seconds"]) << policy;
  }
  // In turn, every task of the sequential plan takes at least its alpha, and all of it is measured.
  const json& sequential = answer["policies"]["sequential"];
  EXPECT_GT(sequential["seconds"].get<double>(), 1e-4 * sequential["tasks"].get<double>());
  profile.Write(2);
  const Result twice = simulate({"--policy", "sequential"});
  ASSERT_EQ(twice.code, kExitDone) << twice.err;
  EXPECT_NEAR(json::parse(twice.out)["policies"]["sequential"]["seconds"].get<double>(),
              2 * sequential["seconds"].get<double>(), 1e-6);
}

TEST(SimulateCommandTest, ASavedProfileAnswersForItsModelAndLayoutOnly) {
  SavedProfile profile;
  const auto refused = [&](const std::vector<std::string>& more, const std::string& says) {
    const Result result =
        Simulate(With({"--model", "configs/quickstart.yaml", "--cluster", profile.path()}, more));
    EXPECT_EQ(result.code, kExitUsage);
    EXPECT_TRUE(result.out.empty()) << result.out;
    EXPECT_NE(result.err.find(profile.path() + says), std::string::npos) << result.err;
  };
  profile.Write(1);
  refused({"cluster.expert_parallel=4", "cluster.expert_sharding=1"}, " has no cost of ");
  refused({"model.ffn_hidden_size=512"}, " has no cost of ");
  profile.Write(1, &profile.key_of(OpKind::kDispatch));
  refused({}, " has no cost of ");
}

TEST(SimulateCommandTest, AClusterWithoutALinkIsRefused) {
  std::ifstream whole("configs/clusters/testbed_a.yaml");
  const std::string path = testing::TempDir() + "/one_link.yaml";
  std::ofstream one_link(path);
  for (std::string line; std::getline(whole, line);) {
    if (line.find("inter:") == std::string::npos) one_link << line << "\n";
  }
  one_link.close();
  const Result result = Simulate({"--grid", "fsmoe-1458", "--cluster", path});
  std::filesystem::remove(path);
  EXPECT_EQ(result.code, kExitUsage);
  EXPECT_TRUE(result.out.empty()) << result.out;
  EXPECT_NE(result.err.find("one_link.yaml:1:1: links.inter.bandwidth is missing"),
            std::string::npos)
      << result.err;
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
