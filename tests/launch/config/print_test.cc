#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <random>
#include <set>
#include <sstream>

#include "gtest/gtest.h"
#include "launch/config/config.h"
#include "launch/config/schema.h"

namespace weft {
namespace {

std::optional<std::string> NoVariables(const std::string&) { return std::nullopt; }

absl::StatusOr<LoadedConfig> Load(std::string_view text) {
  return LoadConfigText(text, "f", {}, NoVariables);
}

// A value that the field allows and that is hard to print.
void Randomize(const Field& field, std::mt19937_64& random, JobOptions& options) {
  const auto between = [&](double min, double max) {
    return std::uniform_real_distribution<double>(min, max)(random);
  };
  const auto hard_text = [&] {
    const std::vector<std::string> texts = {"a b", "x: y # z", "true", "\"'\\",    "${env:HOME}",
                                            "$${", "010",      "[1]",  "\xc3\xa9", "~",
                                            "-",   "null",     " "};
    return texts[random() % texts.size()];
  };
  const double min = std::max(field.range.min, -1e6);
  const double max = std::min(field.range.max, 1e6);
  std::visit(
      [&](auto slot) {
        auto& value = *slot(options);
        using T = std::decay_t<decltype(value)>;
        if constexpr (std::is_same_v<T, bool>) {
          value = random() % 2 == 0;
        } else if constexpr (std::is_same_v<T, int32_t>) {
          value = static_cast<int32_t>(between(min, max));
        } else if constexpr (std::is_same_v<T, uint64_t>) {
          value = random();
        } else if constexpr (std::is_same_v<T, double>) {
          value = min + (max - min) * between(0.1, 0.9);
        } else if constexpr (std::is_same_v<T, std::string>) {
          value = !field.choices.empty()
                      ? std::string(field.choices[random() % field.choices.size()])
                  : field.text == TextRule::kFileName ? "n-1.x"
                                                      : hard_text();
        } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
          value = !field.choices.empty()
                      ? T{std::string(field.choices[random() % field.choices.size()])}
                      : T{hard_text(), hard_text()};
        } else if constexpr (std::is_same_v<T, std::vector<int32_t>>) {
          value = {1, 3, static_cast<int32_t>(4 + random() % 60)};
        } else {
          value = static_cast<T>(random() % field.choices.size());
        }
      },
      field.slot);
}

// Makes the fields that depend on each other fit, so that only printing is on trial.
void Reconcile(JobOptions& options) {
  options.model.num_heads = 4;
  options.model.num_kv_heads = 4;
  options.model.hidden_size = 64;
  options.model.vocab_size = 300;
  options.model.max_sequence_length = 1 << 20;
  options.model.moe.top_k = 1;
  options.model.moe.every = 1;
  options.model.moe.capacity_mode = CapacityMode::kFactor;
  options.model.moe.routing = Routing::kForced;
  options.model.moe.hot_experts = 1;
  options.training.optimizer.warmup_steps = 0;
  options.training.optimizer.min_learning_rate = 0;
  options.cluster.tensor_parallel = 2;
  options.tuning.expert_placement = "auto";
  options.service.address = "10.0.0.0/24";
  options.service.insecure_network = true;
  options.service.heartbeat_seconds = 1;
  options.service.heartbeat_deadline = 5000;
}

TEST(ResolvedConfigTest, ReadsBackToTheSameOptions) {
  std::mt19937_64 random(3);
  for (int i = 0; i < 300; ++i) {
    JobOptions options;
    for (const Field& field : Schema()) Randomize(field, random, options);
    Reconcile(options);
    const std::string text = ResolvedConfig(options);
    const absl::StatusOr<LoadedConfig> config = Load(text);
    ASSERT_TRUE(config.ok()) << config.status() << "\n" << text;
    EXPECT_EQ(ResolvedConfig(config->options), text);
    EXPECT_EQ(config->options.data.paths, options.data.paths);
    EXPECT_EQ(config->options.model.init_std, options.model.init_std);
    EXPECT_EQ(config->options.cluster.inter.latency, options.cluster.inter.latency);
    EXPECT_EQ(config->options.training.seed, options.training.seed);
    EXPECT_EQ(config->options.model.backbone, options.model.backbone);
    EXPECT_EQ(config->origins.size(), Schema().size());
  }
}

TEST(PrintConfigTest, ShowsTheOriginOfEveryValueAndReadsBack) {
  const absl::StatusOr<LoadedConfig> config =
      LoadConfigText("model:\n  moe: {top_k: 1}\n", "exp.yaml", {"run.name=x"}, NoVariables);
  ASSERT_TRUE(config.ok()) << config.status();
  const std::string text = PrintConfig(*config);
  EXPECT_NE(text.find("\n    top_k: 1  # exp.yaml:2:16\n"), std::string::npos) << text;
  EXPECT_NE(text.find("\n  name: \"x\"  # command line\n"), std::string::npos) << text;
  EXPECT_NE(text.find("\n  inter:\n    bandwidth: 0  # default\n"), std::string::npos) << text;
  const absl::StatusOr<LoadedConfig> again = Load(text);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(ResolvedConfig(again->options), ResolvedConfig(config->options));
}

TEST(SchemaTest, KeysAreUniqueAndEverySectionHasFields) {
  std::set<std::string_view> keys;
  for (const Field& field : Schema()) {
    EXPECT_TRUE(keys.insert(field.key).second) << field.key;
    EXPECT_FALSE(field.meaning.empty()) << field.key;
    const std::string_view parent = ParentOf(field.key);
    EXPECT_TRUE(parent.empty() || FindSection(parent) != nullptr) << field.key;
  }
  for (const Section& section : Sections())
    EXPECT_FALSE(NamesIn(section.key).empty()) << section.key;
}

TEST(SchemaTest, TopLevelKeysAreTheAgreedOnes) {
  const std::vector<std::string_view> names = NamesIn("");
  EXPECT_EQ(names,
            (std::vector<std::string_view>{"schema_version", "run", "data", "model", "training",
                                           "cluster", "tuning", "checkpoint", "service"}));
}

// Stands for a value of any type in FieldCount's question.
struct Anything {
  template <typename T>
  operator T() const;  // NOLINT(google-explicit-constructor): never defined, only asked about
};

// How many fields the aggregate T has: the longest list of initializers that it takes.
template <typename T, typename... Initializers>
constexpr size_t FieldCount() {
  if constexpr (requires { T{Initializers{}..., Anything{}}; }) {
    return FieldCount<T, Initializers..., Anything>();
  } else {
    return sizeof...(Initializers);
  }
}

// A field without a row in the table could be set by nobody.
TEST(SchemaTest, EveryFieldOfTheOptionsHasAKey) {
  EXPECT_EQ(NamesIn("").size(), FieldCount<JobOptions>());
  EXPECT_EQ(NamesIn("run").size(), FieldCount<RunOptions>());
  EXPECT_EQ(NamesIn("data").size(), FieldCount<DataOptions>());
  EXPECT_EQ(NamesIn("model").size(), FieldCount<ModelSpec>());
  EXPECT_EQ(NamesIn("model.moe").size(), FieldCount<MoeSpec>());
  EXPECT_EQ(NamesIn("training").size(), FieldCount<TrainingOptions>());
  EXPECT_EQ(NamesIn("training.optimizer").size(), FieldCount<OptimizerOptions>());
  EXPECT_EQ(NamesIn("cluster").size(), FieldCount<ClusterOptions>());
  EXPECT_EQ(NamesIn("cluster.intra").size(), FieldCount<EmulatedLink>());
  EXPECT_EQ(NamesIn("cluster.inter").size(), FieldCount<EmulatedLink>());
  EXPECT_EQ(NamesIn("tuning").size(), FieldCount<TuningOptions>());
  EXPECT_EQ(NamesIn("checkpoint").size(), FieldCount<CheckpointOptions>());
  EXPECT_EQ(NamesIn("service").size(), FieldCount<ServiceOptions>());
}

TEST(ReferenceTest, TheFileListsEveryKeyWithItsDefaultAndNothingElse) {
  const std::string path = "configs/reference.yaml";
  const std::string expected = ReferenceConfig();
  if (std::getenv("WEFT_UPDATE_GOLDEN") != nullptr) std::ofstream(path) << expected;
  std::ifstream file(path);
  std::stringstream actual;
  actual << file.rdbuf();
  EXPECT_EQ(actual.str(), expected)
      << path << " is stale; run this test with WEFT_UPDATE_GOLDEN=1 and commit it";

  const absl::StatusOr<LoadedConfig> config = Load(actual.str());
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(ResolvedConfig(config->options), ResolvedConfig(JobOptions{}));
  EXPECT_EQ(config->origins.size(), Schema().size());
}

TEST(ReferenceTest, FitsInAHundredColumns) {
  std::istringstream lines(ReferenceConfig());
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 100u) << line;
}

TEST(ShippedConfigsTest, AreValidForTheRanksTheyAreMadeFor) {
  const std::vector<std::pair<std::string, int32_t>> shipped = {
      {"configs/quickstart.yaml", 4}, {"configs/gpt2_small.yaml", 4}, {"configs/one_rank.yaml", 1}};
  for (const auto& [path, ranks] : shipped) {
    const absl::StatusOr<LoadedConfig> config = LoadConfig(path, {});
    ASSERT_TRUE(config.ok()) << config.status();
    EXPECT_TRUE(ValidateConfig(*config, ranks).ok()) << ValidateConfig(*config, ranks);
  }
}

}  // namespace
}  // namespace weft
