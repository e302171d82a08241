#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "launch/config/config.h"
#include "launch/config/schema.h"
#include "launch/config/yaml_tree.h"

namespace weft {
namespace {

std::optional<std::string> NoVariables(const std::string&) { return std::nullopt; }

absl::StatusOr<LoadedConfig> Load(std::string_view text,
                                  const std::vector<std::string>& overrides = {}) {
  return LoadConfigText(text, "exp.yaml", overrides, NoVariables);
}

std::string ErrorOf(std::string_view text, const std::vector<std::string>& overrides = {}) {
  const absl::StatusOr<LoadedConfig> config = Load(text, overrides);
  if (config.ok()) return "no error";
  EXPECT_EQ(config.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(config.status().message());
}

TEST(LoadConfigTest, AnEmptyTextGivesTheDefaults) {
  const absl::StatusOr<LoadedConfig> config = Load("");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(ResolvedConfig(config->options), ResolvedConfig(JobOptions{}));
  EXPECT_TRUE(config->origins.empty());
}

TEST(LoadConfigTest, ReadsEveryTypeAndItsOrigin) {
  const absl::StatusOr<LoadedConfig> config = Load(
      "schema_version: 1\n"
      "run: {name: night-3, compare: [sequential, weft]}\n"
      "data:\n"
      "  paths: [a.txt, 'b c.txt', 2024]\n"
      "model:\n"
      "  backbone: gpt2\n"
      "  num_kv_heads: 4\n"
      "  norm_epsilon: 1e-6\n"
      "  moe: {capacity_mode: factor, capacity_factor: -1.25}\n"
      "training: {seed: 18446744073709551615, optimizer: {learning_rate: 1}}\n"
      "cluster:\n"
      "  inter: {bandwidth: 1Gbit/s, latency: 1ms}\n"
      "  intra:\n"
      "tuning: {degrees: [1, 2, 4]}\n");
  ASSERT_TRUE(config.ok()) << config.status();
  const JobOptions& options = config->options;
  EXPECT_EQ(options.run.name, "night-3");
  EXPECT_EQ(options.run.compare, (std::vector<std::string>{"sequential", "weft"}));
  EXPECT_EQ(options.data.paths, (std::vector<std::string>{"a.txt", "b c.txt", "2024"}));
  EXPECT_EQ(options.model.backbone, Backbone::kGpt2);
  EXPECT_EQ(options.model.norm_epsilon, 1e-6);
  EXPECT_EQ(options.model.moe.capacity_mode, CapacityMode::kFactor);
  EXPECT_EQ(options.model.moe.capacity_factor, -1.25);
  EXPECT_EQ(options.training.seed, 18446744073709551615u);
  EXPECT_EQ(options.training.optimizer.learning_rate, 1.0);
  EXPECT_EQ(options.cluster.inter.bandwidth, 125e6);
  EXPECT_EQ(options.cluster.inter.latency, 0.001);
  EXPECT_EQ(options.tuning.degrees, (std::vector<int32_t>{1, 2, 4}));
  EXPECT_EQ(config->origins.at("model.norm_epsilon").ToString(), "exp.yaml:8:17");
  EXPECT_EQ(config->origins.count("model.vocab_size"), 0u);
}

TEST(LoadConfigTest, NamesTheNearestKey) {
  EXPECT_EQ(ErrorOf("model:\n  moe:\n    num_expert: 8\n"),
            "exp.yaml:3:5: unknown key 'num_expert' in model.moe (did you mean 'num_experts'?)");
  EXPECT_EQ(ErrorOf("modle: {}\n"),
            "exp.yaml:1:1: unknown key 'modle' at the top level (did you mean 'model'?)");
  EXPECT_EQ(ErrorOf("training: {learning_rate: 1}\n"),
            "exp.yaml:1:12: unknown key 'learning_rate' in training "
            "(did you mean 'training.optimizer.learning_rate'? Keys are nested)");
  EXPECT_EQ(ErrorOf("training.steps: 5\n"),
            "exp.yaml:1:1: unknown key 'training.steps' at the top level (did you mean "
            "'training.steps'? Keys are "
            "nested)");
  EXPECT_EQ(ErrorOf("checkpoint: {zebra: 1}\n"),
            "exp.yaml:1:14: unknown key 'zebra' in checkpoint (known keys: every, at_end, keep)");
}

TEST(LoadConfigTest, IsStrictAboutTypes) {
  const std::string whole = "expected a whole number in decimal digits (1 to 1000000000)";
  for (const char* value : {"010", "0x10", "1e3", "5.0", "1_000", "+5", "five", "~x"}) {
    EXPECT_EQ(ErrorOf(absl::StrCat("training: {steps: ", value, "}")),
              absl::StrCat("exp.yaml:1:19: training.steps = '", value, "': ", whole));
  }
  EXPECT_EQ(ErrorOf("training: {steps: '5'}"),
            "exp.yaml:1:19: training.steps = quoted text '5': " + whole);
  EXPECT_EQ(ErrorOf("training: {steps: [5]}"), "exp.yaml:1:19: training.steps = a list: " + whole);
  EXPECT_EQ(ErrorOf("training: {steps: {a: 5}}"),
            "exp.yaml:1:19: training.steps = a block of keys: " + whole);
  EXPECT_EQ(ErrorOf("training:\n  steps: ~\n"),
            "exp.yaml:2:10: training.steps = nothing: " + whole);
  for (const char* value : {"y", "on", "yes", "1", "True", "TRUE"}) {
    EXPECT_EQ(ErrorOf(absl::StrCat("tuning: {replan: ", value, "}")),
              absl::StrCat("exp.yaml:1:18: tuning.replan = '", value,
                           "': expected a boolean (true or false)"));
  }
  EXPECT_EQ(ErrorOf("data: {paths: a.txt}"),
            "exp.yaml:1:15: data.paths = 'a.txt': expected a list such as [a, b]; each element "
            "must be a text that is "
            "not empty");
  EXPECT_EQ(ErrorOf("cluster: {collective_deadline: 5 parsecs}"),
            "exp.yaml:1:32: cluster.collective_deadline = '5 parsecs': expected a duration such as "
            "30s, 1.5ms or 0.5 "
            "(greater than 0 and at most 24h)");
  EXPECT_EQ(ErrorOf("model: 5"),
            "exp.yaml:1:8: model: expected a block of keys (section with keys such as 'backbone')");
  EXPECT_EQ(ErrorOf("- 1"),
            "exp.yaml:1:1: a configuration: expected a block of keys (top level with keys such as "
            "'schema_version')");
}

TEST(LoadConfigTest, ChecksRanges) {
  EXPECT_EQ(ErrorOf("schema_version: 2"), "exp.yaml:1:17: schema_version = '2': must be 1");
  EXPECT_EQ(ErrorOf("training: {steps: 0}"),
            "exp.yaml:1:19: training.steps = '0': must be 1 to 1000000000");
  EXPECT_EQ(ErrorOf("training: {steps: 99999999999999999999999999999999999999999}"),
            "exp.yaml:1:19: training.steps = '99999999999999999999999999999999999999999': must be "
            "1 to 1000000000");
  EXPECT_EQ(ErrorOf("training: {seed: -1}"),
            "exp.yaml:1:18: training.seed = '-1': must be 0 to 18446744073709551615");
  EXPECT_EQ(ErrorOf("training: {optimizer: {beta1: 1}}"),
            "exp.yaml:1:31: training.optimizer.beta1 = '1': must be at least 0 and less than 1");
  EXPECT_EQ(ErrorOf("model: {rope_theta: 1e999}"),
            "exp.yaml:1:21: model.rope_theta = '1e999': must be greater than 0");
  EXPECT_EQ(ErrorOf("model: {backbone: gpt3}"),
            "exp.yaml:1:19: model.backbone = 'gpt3': must be gpt2 or mixtral");
  EXPECT_EQ(ErrorOf("model: {moe: {routing: random}}"),
            "exp.yaml:1:24: model.moe.routing = 'random': must be learned or forced");
  EXPECT_EQ(ErrorOf("model: {moe: {workload: w8}}"),
            "exp.yaml:1:25: model.moe.workload = 'w8': must be w0, w1, w2, w3, w4, w5, w6, w7 or "
            "zipf");
  EXPECT_EQ(ErrorOf("run: {compare_workloads: [w0, hot]}"),
            "exp.yaml:1:26: run.compare_workloads[1] = 'hot': must be w0, w1, w2, w3, w4, w5, w6, "
            "w7 or zipf");
  EXPECT_EQ(ErrorOf("tuning: {degrees: [1, 0]}"),
            "exp.yaml:1:19: tuning.degrees[1] = '0': must be 1 to 64");
  EXPECT_EQ(ErrorOf("tuning: {without_passes: [refine, slice_gradient]}"),
            "exp.yaml:1:26: tuning.without_passes[1] = 'slice_gradient' (did you mean "
            "'slice_gradients'?): must be best_of_policies, choose_all_to_all, "
            "choose_degrees, chunk_gradients, delay_wgrad, "
            "gradients_beside_dense, improve_small, partition_rest, pipeline_blocks, ready_first, "
            "refine, serve_by_priority or slice_gradients");
  EXPECT_EQ(ErrorOf("run: {name: ../x}"),
            "exp.yaml:1:13: run.name = '../x': must be 1 to 64 letters, digits, '.', '_' or '-', "
            "not starting with "
            "'.' or '-'");
  EXPECT_EQ(ErrorOf("run: {directory: ''}"),
            "exp.yaml:1:18: run.directory = '': must be a text that is not empty");
  EXPECT_EQ(
      ErrorOf("data: {paths: [\"a\\0b\"]}"),
      "exp.yaml:1:15: data.paths[0] = 'a\\x00\\x62': expected a text without control characters "
      "(a text that is not empty)");
}

TEST(LoadConfigTest, ReportsAllMistakesAtOnceInOrder) {
  EXPECT_EQ(
      ErrorOf("model:\n  hidden_sise: 1\n  num_layers: x\ntraining:\n  steps: 0\n  steps: 1\n",
              {"model.moe.topk=2", "tuning.replan=maybe"}),
      "exp.yaml:2:3: unknown key 'hidden_sise' in model (did you mean 'hidden_size'?)\n"
      "exp.yaml:3:15: model.num_layers = 'x': expected a whole number in decimal digits (1 to "
      "1024)\n"
      "exp.yaml:5:10: training.steps = '0': must be 1 to 1000000000\n"
      "exp.yaml:6:3: duplicate key 'steps' (first at line 5)\n"
      "command line: unknown key 'topk' in model.moe (did you mean 'top_k'?)\n"
      "command line: tuning.replan = 'maybe': expected a boolean (true or false)");
  std::string many = "model:\n";
  for (int i = 0; i < 50; ++i) absl::StrAppend(&many, "  zz", i, ": 1\n");
  const std::string text = ErrorOf(many);
  EXPECT_NE(text.find("\n... and 30 more"), std::string::npos) << text;
}

TEST(OverrideTest, WinsOverTheFileAndTheLastOneWins) {
  const absl::StatusOr<LoadedConfig> config =
      Load("training: {steps: 10, optimizer: {warmup_steps: 1}}",
           {"training.steps=20", "training.steps=30", "tuning.degrees=[1, 2]",
            "data.paths=[a.txt,\"b,c\"]", "run.directory=a: b",
            "model.moe={top_k: 1, num_experts: 4}", "tuning.plan=", "cluster.intra.latency=5us"});
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->options.training.steps, 30);
  EXPECT_EQ(config->options.training.optimizer.warmup_steps, 1);
  EXPECT_EQ(config->options.tuning.degrees, (std::vector<int32_t>{1, 2}));
  EXPECT_EQ(config->options.data.paths, (std::vector<std::string>{"a.txt", "b,c"}));
  EXPECT_EQ(config->options.run.directory, "a: b");
  EXPECT_EQ(config->options.model.moe.num_experts, 4);
  EXPECT_EQ(config->options.cluster.intra.latency, 5e-6);
  EXPECT_EQ(config->origins.at("training.steps").ToString(), "command line");
  EXPECT_EQ(config->origins.at("model.moe.top_k").ToString(), "command line");
}

TEST(OverrideTest, GetsTheSameChecks) {
  EXPECT_EQ(ErrorOf("", {"training.steps"}),
            "command line: 'training.steps' is not an override; write key=value, as in "
            "training.steps=100");
  EXPECT_EQ(ErrorOf("", {"=5"}),
            "command line: '=5' is not an override; write key=value, as in training.steps=100");
  EXPECT_EQ(ErrorOf("", {"trainig.steps=5"}),
            "command line: unknown key 'trainig' at the top level (did you mean 'training'?)");
  EXPECT_EQ(ErrorOf("", {"training.steps.x=5"}),
            "command line: 'training.steps.x': training.steps is a value and "
            "has no keys");
  EXPECT_EQ(ErrorOf("", {"training.=5"})
                .rfind("command line: unknown key '' in training (known keys: ", 0),
            0u);
  EXPECT_EQ(
      ErrorOf("", {"tuning.degrees=[1, 2"}),
      "command line: tuning.degrees = '[1, 2': not a valid YAML value; lists are written [a, b]");
  EXPECT_EQ(ErrorOf("", {"model=5"}),
            "command line: model: expected a block of keys (section with keys such as 'backbone')");
  EXPECT_EQ(ErrorOf("", {"run.name=a\nb"}),
            "command line: run.name = 'a\\nb': expected a text without control characters (1 to 64 "
            "letters, digits, "
            "'.', '_' or '-', not starting with '.' or '-')");
  EXPECT_EQ(ErrorOf("", {"run.name=\x01"}), "command line: control character 0x01");
}

TEST(EnvironmentTest, FillsAnyValue) {
  const auto variables = [](const std::string& name) -> std::optional<std::string> {
    if (name == "STEPS") return "70";
    return std::nullopt;
  };
  const absl::StatusOr<LoadedConfig> config = LoadConfigText(
      "training:\n  steps: ${env:STEPS}\nrun:\n  directory: \"${env:SCRATCH:-/tmp}/runs\"\n"
      "tuning: {replan_every: \"${env:STEPS}\"}\n",
      "exp.yaml", {"run.name=n${env:STEPS}"}, variables);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->options.training.steps, 70);
  EXPECT_EQ(config->options.tuning.replan_every, 70);
  EXPECT_EQ(config->options.run.directory, "/tmp/runs");
  EXPECT_EQ(config->options.run.name, "n70");
  EXPECT_EQ(ErrorOf("training:\n  steps: ${env:STEPS}\n"),
            "exp.yaml:2:10: training.steps: environment variable 'STEPS' is not set; write "
            "${env:STEPS:-value} to "
            "give a default");
}

TEST(LoadConfigTest, ConflictsNameWhereTheValueWasWritten) {
  EXPECT_EQ(ErrorOf("model:\n  moe:\n    top_k: 9\n"),
            "exp.yaml:3:12: model.moe.top_k = 9 must be at most model.moe.num_experts = 8");
  EXPECT_EQ(ErrorOf("", {"model.moe.num_experts=1"}),
            "default: model.moe.top_k = 2 must be at most model.moe.num_experts = 1");
}

TEST(LoadConfigTest, ReadsAFileAndSaysWhenItCannot) {
  const std::filesystem::path directory = std::filesystem::temp_directory_path() / "weft_load_test";
  std::filesystem::create_directories(directory);
  const std::string path = (directory / "a.yaml").string();
  std::ofstream(path) << "training: {steps: 77, optimizer: {warmup_steps: 7}}\n";
  const absl::StatusOr<LoadedConfig> config = LoadConfig(path, {});
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->options.training.steps, 77);
  std::ofstream(path) << std::string(kMaxConfigBytes + 100, '#');
  EXPECT_EQ(LoadConfig(path, {}).status().message(),
            path + ": larger than 1048576 bytes; is this the right file?");
  std::filesystem::remove(path);
  EXPECT_EQ(LoadConfig(path, {}).status().message(),
            path + ": cannot open the configuration (No such file or directory)");
  EXPECT_EQ(LoadConfig(directory.string(), {}).status().code(), absl::StatusCode::kInvalidArgument);
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace weft
