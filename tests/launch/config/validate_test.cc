#include "gtest/gtest.h"
#include "launch/config/config.h"

namespace weft {
namespace {

// Options that fit a job of four ranks.
JobOptions GoodOptions() {
  JobOptions options;
  options.data.paths = {"a.txt"};
  return options;
}

std::string ConflictOf(const JobOptions& options, int32_t world_size = 0) {
  return std::string(ValidateOptions(options, world_size).message());
}

TEST(ValidateOptionsTest, DefaultsFit) {
  EXPECT_EQ(ConflictOf(JobOptions{}), "");
  EXPECT_EQ(ConflictOf(GoodOptions(), 4), "");
}

TEST(ValidateOptionsTest, HeadsDivideTheWidth) {
  JobOptions options = GoodOptions();
  options.model.num_heads = 5;
  options.model.num_kv_heads = 1;
  EXPECT_EQ(ConflictOf(options),
            "model.num_heads = 5 must divide model.hidden_size = 128 (allowed: 1, 2, 4, 8, 16, 32, "
            "64, 128)");
  options = GoodOptions();
  options.model.num_kv_heads = 3;
  EXPECT_EQ(ConflictOf(options),
            "model.num_kv_heads = 3 must divide model.num_heads = 4 (allowed: 1, 2, 4)");
  options = GoodOptions();
  options.model.hidden_size = 12;
  EXPECT_NE(ConflictOf(options).find("model.hidden_size / model.num_heads = 3 must be even"),
            std::string::npos);
  options.model.backbone = Backbone::kGpt2;
  options.model.num_kv_heads = 4;
  EXPECT_EQ(ConflictOf(options), "");
}

TEST(ValidateOptionsTest, OnlyWeftFollowsTheLoadAndOnlyWhereExpertsCanMove) {
  JobOptions options = GoodOptions();
  options.tuning.expert_placement = "follow";
  EXPECT_EQ(ConflictOf(options, 4), "");
  options.tuning.policy = "tutel";
  EXPECT_EQ(ConflictOf(options),
            "tuning.expert_placement = follow needs tuning.policy: weft; tutel leaves experts at "
            "home");
  options.tuning.policy = "weft";
  options.cluster.expert_parallel = 1;
  EXPECT_EQ(ConflictOf(options),
            "tuning.expert_placement = follow needs cluster.expert_parallel of at least 2 (0: "
            "chosen): with 1 every rank has all experts");
  options.tuning.expert_placement = "auto";
  EXPECT_EQ(ConflictOf(options), "") << "auto finds nothing to move";
  options.cluster.expert_parallel = 0;
  options.tuning.expert_placement = "rebalance";
  EXPECT_EQ(ConflictOf(options),
            "tuning.expert_placement = rebalance needs tuning.allow_reassociation: true: the "
            "gradient norm adds up in the order of homes");
  options.tuning.allow_reassociation = true;
  EXPECT_EQ(ConflictOf(options), "");
  options.tuning.replan = false;
  EXPECT_EQ(ConflictOf(options),
            "tuning.expert_placement = rebalance needs tuning.replan: true: experts move when a "
            "plan is replaced");
}

TEST(ValidateOptionsTest, Gpt2HasItsOwnRules) {
  JobOptions options = GoodOptions();
  options.model.backbone = Backbone::kGpt2;
  EXPECT_EQ(ConflictOf(options),
            "model.num_kv_heads = 2 must be model.num_heads = 4 when model.backbone is gpt2, which "
            "has no "
            "grouped-query attention");
  options.model.num_kv_heads = 4;
  options.training.sequence_length = 257;
  EXPECT_EQ(ConflictOf(options),
            "training.sequence_length = 257 must be at most model.max_sequence_length = 256 when "
            "model.backbone is "
            "gpt2, which learns one vector a position");
  options.model.backbone = Backbone::kMixtral;
  EXPECT_EQ(ConflictOf(options), "");
}

TEST(ValidateOptionsTest, ExpertsFit) {
  JobOptions options = GoodOptions();
  options.model.moe.top_k = 9;
  EXPECT_EQ(ConflictOf(options), "model.moe.top_k = 9 must be at most model.moe.num_experts = 8");
  options = GoodOptions();
  options.model.moe.every = 5;
  EXPECT_EQ(ConflictOf(options),
            "model.moe.every = 5 must be at most model.num_layers = 4, or no layer has experts");
  options = GoodOptions();
  options.model.moe.capacity_factor = 1.25;
  EXPECT_NE(ConflictOf(options).find("model.moe.capacity_factor = 1.25 must be 0"),
            std::string::npos);
  options.model.moe.capacity_mode = CapacityMode::kFactor;
  EXPECT_EQ(ConflictOf(options), "");
}

TEST(ValidateOptionsTest, HeadsAreSharedOutWhole) {
  JobOptions options = GoodOptions();
  options.model.num_heads = 8;
  options.model.num_kv_heads = 2;
  options.cluster.tensor_parallel = 2;
  EXPECT_EQ(ConflictOf(options), "");
  options.cluster.tensor_parallel = 3;
  EXPECT_EQ(ConflictOf(options),
            "cluster.tensor_parallel = 3 must divide model.num_heads = 8 (allowed: 1, 2, 4, 8)");
  options.cluster.tensor_parallel = 4;
  EXPECT_EQ(ConflictOf(options),
            "cluster.tensor_parallel = 4 must divide model.num_kv_heads = 2 (allowed: 1, 2)");
  options.model.num_kv_heads = 8;
  options.cluster.ranks_per_node = 2;
  EXPECT_EQ(ConflictOf(options, 4),
            "cluster.tensor_parallel = 4 must divide cluster.ranks_per_node = 2 (allowed: 1, 2)");
}

TEST(ValidateOptionsTest, WorkloadsNeedForcedRouting) {
  JobOptions options = GoodOptions();
  options.model.moe.workload = Workload::kHotRank;
  EXPECT_EQ(ConflictOf(options),
            "model.moe.workload = w2 needs model.moe.routing: forced, which is for benchmarks");
  options.model.moe.workload = Workload::kBalanced;
  options.run.compare_workloads = {"w0", "zipf"};
  EXPECT_EQ(ConflictOf(options),
            "run.compare_workloads needs model.moe.routing: forced, which is for benchmarks");
  options.model.moe.routing = Routing::kForced;
  EXPECT_EQ(ConflictOf(options), "");
  options.run.compare_workloads = {"w0", "w1", "w0"};
  EXPECT_EQ(ConflictOf(options), "run.compare_workloads names w0 twice");
  options.run.compare_workloads = {};
  options.model.moe.hot_experts = 9;
  EXPECT_EQ(ConflictOf(options),
            "model.moe.hot_experts = 9 must be at most model.moe.num_experts = 8");
}

TEST(ValidateOptionsTest, TrainingFits) {
  JobOptions options = GoodOptions();
  options.model.vocab_size = 255;
  options.training.optimizer.warmup_steps = 301;
  options.training.optimizer.min_learning_rate = 0.5;
  EXPECT_EQ(ConflictOf(options),
            "model.vocab_size = 255 must be at least 256 when data.tokenizer is bytes\n"
            "training.optimizer.warmup_steps = 301 must be at most training.steps = 300\n"
            "training.optimizer.min_learning_rate = 0.5 must be at most "
            "training.optimizer.learning_rate = 0.001");
}

TEST(ValidateOptionsTest, EmulationNeedsBothLinks) {
  JobOptions options = GoodOptions();
  options.cluster.emulate = true;
  options.cluster.intra.bandwidth = 1e9;
  EXPECT_EQ(ConflictOf(options),
            "cluster.inter.bandwidth = 0 must be greater than 0 when cluster.emulate is true, "
            "which needs both links, "
            "as in 200MB/s");
  options.cluster.inter.bandwidth = 1e8;
  EXPECT_EQ(ConflictOf(options), "");
}

TEST(ValidateOptionsTest, DegreesAscendAndHeartbeatsFit) {
  JobOptions options = GoodOptions();
  options.tuning.degrees = {1, 4, 4};
  EXPECT_EQ(ConflictOf(options), "tuning.degrees must ascend, but 4 follows 4");
  options.tuning.degrees = {};
  EXPECT_EQ(ConflictOf(options), "tuning.degrees = [] must name at least one degree");
  options = GoodOptions();
  options.tuning.sm_limits = {16, 8};
  EXPECT_EQ(ConflictOf(options), "tuning.sm_limits must ascend, but 8 follows 16");
  options.tuning.sm_limits = {};
  EXPECT_EQ(ConflictOf(options), "");
  options.service.heartbeat_deadline = 0.5;
  EXPECT_EQ(ConflictOf(options),
            "service.heartbeat_deadline = 0.5s must be at least four times "
            "service.heartbeat_seconds = 0.5s");
}

TEST(ValidateOptionsTest, APolicyIsComparedOnce) {
  JobOptions options = GoodOptions();
  options.run.compare = {"sequential", "weft"};
  EXPECT_EQ(ConflictOf(options), "");
  options.run.compare = {"weft", "sequential", "weft"};
  EXPECT_EQ(ConflictOf(options), "run.compare names weft twice");
  options.run.compare = {};
  options.tuning.all_to_alls = {"pipe", "2dh", "pipe"};
  EXPECT_EQ(ConflictOf(options), "tuning.all_to_alls names pipe twice");
  options.tuning.all_to_alls = {};
  EXPECT_EQ(ConflictOf(options), "tuning.all_to_alls = [] must name at least one algorithm");
  options = GoodOptions();
  options.tuning.without_passes = {"refine", "refine"};
  EXPECT_EQ(ConflictOf(options), "tuning.without_passes names refine twice");
}

TEST(ValidateOptionsTest, TheServiceLeavesTheHostOnlyOnDemand) {
  JobOptions options = GoodOptions();
  options.service.address = "10.0.0.0/24";
  EXPECT_EQ(ConflictOf(options),
            "service.address: '10.0.0.0/24' is not a loopback address and the service is not "
            "encrypted; allow that by service.insecure_network: true, or use 127.0.0.1, ::1 or "
            "localhost");
  options.service.insecure_network = true;
  EXPECT_EQ(ConflictOf(options), "");
}

TEST(ValidateOptionsTest, TheWorldFitsOnlyWhenItIsKnown) {
  JobOptions options;
  options.cluster.ranks_per_node = 2;
  EXPECT_EQ(ConflictOf(options, 0), "");
  EXPECT_EQ(ConflictOf(options, 3),
            "training.global_batch = 32 must be a multiple of 3 ranks x training.micro_batches = 1 "
            "(allowed: 3, 6, 9, "
            "...)\n"
            "cluster.ranks_per_node = 2 must divide the 3 ranks of the job (allowed: 1, 3)\n"
            "data.paths = [] must name at least one text file, directory or .bin prefix");
  options = GoodOptions();
  options.training.micro_batches = 65536;
  EXPECT_NE(ConflictOf(options, 65536).find("(allowed: 4294967296, "), std::string::npos);
}

TEST(ValidateConfigTest, StartsEveryLineWithTheOrigin) {
  LoadedConfig config;
  config.options = GoodOptions();
  config.options.training.global_batch = 30;
  config.origins["training.global_batch"] = {"exp.yaml", 4, 17};
  EXPECT_EQ(ValidateConfig(config, 4).message(),
            "exp.yaml:4:17: training.global_batch = 30 must be a multiple of 4 ranks x "
            "training.micro_batches = 1 "
            "(allowed: 4, 8, 12, ...)");
}

}  // namespace
}  // namespace weft
