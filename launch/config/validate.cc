#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "launch/config/config.h"
#include "launch/config/errors.h"
#include "launch/config/values.h"
#include "launch/control/listen_address.h"
#include "models/moe/forced_routing.h"

// What a single field's range cannot say: how the fields must fit each other.

namespace weft {
namespace {

struct Conflict {
  std::string key;  // the one to look at first
  std::string message;
};

void CheckDifferent(const char* key, const std::vector<std::string>& names,
                    std::vector<Conflict>& conflicts) {
  for (auto name = names.begin(); name != names.end(); ++name) {
    if (std::find(names.begin(), name, *name) == name) continue;
    conflicts.push_back({key, absl::StrCat(key, " names ", *name, " twice")});
    return;
  }
}

// "1, 2, 4, 8": what divides `number`, from 1 up.
std::string DivisorsOf(int32_t number) {
  std::vector<int32_t> divisors;
  for (int32_t d = 1; static_cast<int64_t>(d) * d <= number; ++d) {
    if (number % d == 0) divisors.push_back(d);
  }
  for (size_t i = divisors.size(); i-- > 0;) {
    const int32_t paired = number / divisors[i];
    if (paired > divisors.back()) divisors.push_back(paired);
  }
  constexpr size_t kMaxShown = 12;
  std::string text;
  for (size_t i = 0; i < divisors.size() && i < kMaxShown; ++i) {
    absl::StrAppend(&text, i == 0 ? "" : ", ", divisors[i]);
  }
  if (divisors.size() > kMaxShown) absl::StrAppend(&text, ", ...");
  return text;
}

void CheckModel(const JobOptions& options, std::vector<Conflict>& conflicts) {
  const ModelSpec& model = options.model;
  const bool gpt2 = model.backbone == Backbone::kGpt2;
  const bool heads_fit = model.hidden_size % model.num_heads == 0;
  if (!heads_fit) {
    conflicts.push_back(
        {"model.num_heads", absl::StrCat("model.num_heads = ", model.num_heads,
                                         " must divide model.hidden_size = ", model.hidden_size,
                                         " (allowed: ", DivisorsOf(model.hidden_size), ")")});
  }
  if (gpt2 && model.num_kv_heads != model.num_heads) {
    conflicts.push_back(
        {"model.num_kv_heads",
         absl::StrCat("model.num_kv_heads = ", model.num_kv_heads,
                      " must be model.num_heads = ", model.num_heads,
                      " when model.backbone is gpt2, which has no grouped-query attention")});
  } else if (model.num_heads % model.num_kv_heads != 0) {
    conflicts.push_back(
        {"model.num_kv_heads", absl::StrCat("model.num_kv_heads = ", model.num_kv_heads,
                                            " must divide model.num_heads = ", model.num_heads,
                                            " (allowed: ", DivisorsOf(model.num_heads), ")")});
  }
  if (!gpt2 && heads_fit && model.head_dim() % 2 != 0) {
    conflicts.push_back(
        {"model.num_heads",
         absl::StrCat("model.hidden_size / model.num_heads = ", model.head_dim(),
                      " must be even when model.backbone is mixtral, whose rotary positions turn "
                      "pairs of numbers")});
  }
  if (gpt2 && options.training.sequence_length > model.max_sequence_length) {
    conflicts.push_back(
        {"training.sequence_length",
         absl::StrCat("training.sequence_length = ", options.training.sequence_length,
                      " must be at most model.max_sequence_length = ", model.max_sequence_length,
                      " when model.backbone is gpt2, which learns one vector a position")});
  }
  if (options.data.tokenizer == "bytes" && model.vocab_size < 256) {
    conflicts.push_back(
        {"model.vocab_size", absl::StrCat("model.vocab_size = ", model.vocab_size,
                                          " must be at least 256 when data.tokenizer is bytes")});
  }
}

// Heads are shared out whole.
void CheckHeads(const JobOptions& options, std::vector<Conflict>& conflicts) {
  const int32_t sharers = options.cluster.tensor_parallel;
  const ModelSpec& model = options.model;
  const std::pair<const char*, int32_t> counts[] = {{"model.num_heads", model.num_heads},
                                                    {"model.num_kv_heads", model.num_kv_heads}};
  for (const auto& [key, heads] : counts) {
    if (heads % sharers == 0) continue;
    conflicts.push_back({"cluster.tensor_parallel",
                         absl::StrCat("cluster.tensor_parallel = ", sharers, " must divide ", key,
                                      " = ", heads, " (allowed: ", DivisorsOf(heads), ")")});
    return;
  }
}

void CheckMoe(const ModelSpec& model, std::vector<Conflict>& conflicts) {
  const MoeSpec& moe = model.moe;
  if (moe.top_k > moe.num_experts) {
    conflicts.push_back(
        {"model.moe.top_k",
         absl::StrCat("model.moe.top_k = ", moe.top_k,
                      " must be at most model.moe.num_experts = ", moe.num_experts)});
  }
  if (moe.every > model.num_layers) {
    conflicts.push_back(
        {"model.moe.every", absl::StrCat("model.moe.every = ", moe.every,
                                         " must be at most model.num_layers = ", model.num_layers,
                                         ", or no layer has experts")});
  }
  if (moe.capacity_mode == CapacityMode::kDropless && moe.capacity_factor != 0) {
    conflicts.push_back(
        {"model.moe.capacity_factor",
         absl::StrCat("model.moe.capacity_factor = ", FormatReal(moe.capacity_factor),
                      " must be 0 when model.moe.capacity_mode is dropless; "
                      "set the mode to factor to limit experts")});
  }
}

void CheckForcedRouting(const JobOptions& options, std::vector<Conflict>& conflicts) {
  const MoeSpec& moe = options.model.moe;
  if (moe.hot_experts > moe.num_experts) {
    conflicts.push_back(
        {"model.moe.hot_experts",
         absl::StrCat("model.moe.hot_experts = ", moe.hot_experts,
                      " must be at most model.moe.num_experts = ", moe.num_experts)});
  }
  CheckDifferent("run.compare_workloads", options.run.compare_workloads, conflicts);
  if (moe.routing == Routing::kForced) return;
  if (moe.workload != Workload::kBalanced) {
    conflicts.push_back(
        {"model.moe.workload",
         absl::StrCat("model.moe.workload = ", std::string(Name(moe.workload)),
                      " needs model.moe.routing: forced, which is for benchmarks")});
  }
  if (!options.run.compare_workloads.empty()) {
    conflicts.push_back(
        {"run.compare_workloads",
         "run.compare_workloads needs model.moe.routing: forced, which is for benchmarks"});
  }
}

void CheckTraining(const TrainingOptions& training, std::vector<Conflict>& conflicts) {
  const OptimizerOptions& optimizer = training.optimizer;
  if (optimizer.warmup_steps > training.steps) {
    conflicts.push_back({"training.optimizer.warmup_steps",
                         absl::StrCat("training.optimizer.warmup_steps = ", optimizer.warmup_steps,
                                      " must be at most training.steps = ", training.steps)});
  }
  if (optimizer.min_learning_rate > optimizer.learning_rate) {
    conflicts.push_back({"training.optimizer.min_learning_rate",
                         absl::StrCat("training.optimizer.min_learning_rate = ",
                                      FormatReal(optimizer.min_learning_rate),
                                      " must be at most training.optimizer.learning_rate = ",
                                      FormatReal(optimizer.learning_rate))});
  }
}

// An order that nobody could follow.
void CheckPlacement(const JobOptions& options, std::vector<Conflict>& conflicts) {
  const std::string& where = options.tuning.expert_placement;
  if (where != "follow" && where != "rebalance") return;
  const auto needs = [&](const std::string& what) {
    conflicts.push_back({"tuning.expert_placement",
                         absl::StrCat("tuning.expert_placement = ", where, " needs ", what)});
  };
  if (options.tuning.policy != "weft") {
    needs(absl::StrCat("tuning.policy: weft; ", options.tuning.policy, " leaves experts at home"));
  }
  if (options.cluster.expert_parallel == 1) {
    needs("cluster.expert_parallel of at least 2 (0: chosen): with 1 every rank has all experts");
  }
  if (where != "rebalance") return;
  if (!options.tuning.allow_reassociation) {
    needs("tuning.allow_reassociation: true: the gradient norm adds up in the order of homes");
  }
  if (!options.tuning.replan) {
    needs("tuning.replan: true: experts move when a plan is replaced");
  }
}

void CheckAscending(const std::string& key, const std::vector<int32_t>& values,
                    std::vector<Conflict>& conflicts) {
  const auto fallen = std::adjacent_find(values.begin(), values.end(), std::greater_equal<>());
  if (fallen == values.end()) return;
  conflicts.push_back(
      {key, absl::StrCat(key, " must ascend, but ", *(fallen + 1), " follows ", *fallen)});
}

void CheckSystem(const JobOptions& options, std::vector<Conflict>& conflicts) {
  const ClusterOptions& cluster = options.cluster;
  if (cluster.emulate) {
    const auto check_link = [&conflicts](const char* key, double bandwidth) {
      if (bandwidth > 0) return;
      conflicts.push_back(
          {key, absl::StrCat(key,
                             " = 0 must be greater than 0 when cluster.emulate is true, "
                             "which needs both links, as in 200MB/s")});
    };
    check_link("cluster.intra.bandwidth", cluster.intra.bandwidth);
    check_link("cluster.inter.bandwidth", cluster.inter.bandwidth);
  }
  const std::vector<int32_t>& degrees = options.tuning.degrees;
  if (degrees.empty())
    conflicts.push_back({"tuning.degrees", "tuning.degrees = [] must name at least one degree"});
  CheckAscending("tuning.degrees", degrees, conflicts);
  CheckAscending("tuning.sm_limits", options.tuning.sm_limits, conflicts);
  if (options.tuning.all_to_alls.empty()) {
    conflicts.push_back(
        {"tuning.all_to_alls", "tuning.all_to_alls = [] must name at least one algorithm"});
  }
  CheckDifferent("tuning.all_to_alls", options.tuning.all_to_alls, conflicts);
  CheckDifferent("tuning.without_passes", options.tuning.without_passes, conflicts);
  CheckPlacement(options, conflicts);
  CheckDifferent("run.compare", options.run.compare, conflicts);
  const ServiceOptions& service = options.service;
  if (const absl::Status address = ValidateListenAddress(service.address, service.insecure_network);
      !address.ok()) {
    conflicts.push_back({"service.address", std::string(address.message())});
  }
  // Several heartbeats must fail before anyone is called lost (launch/control/control_options.h).
  if (service.heartbeat_deadline < 4 * service.heartbeat_seconds) {
    conflicts.push_back({"service.heartbeat_deadline",
                         absl::StrCat("service.heartbeat_deadline = ",
                                      FormatQuantity(service.heartbeat_deadline, Unit::kSeconds),
                                      " must be at least four times service.heartbeat_seconds = ",
                                      FormatQuantity(service.heartbeat_seconds, Unit::kSeconds))});
  }
}

// What only the start of a job can know.
void CheckWorld(const JobOptions& options, int32_t world_size, std::vector<Conflict>& conflicts) {
  const TrainingOptions& training = options.training;
  const int64_t parts = static_cast<int64_t>(world_size) * training.micro_batches;
  if (training.global_batch % parts != 0) {
    conflicts.push_back(
        {"training.global_batch",
         absl::StrCat("training.global_batch = ", training.global_batch, " must be a multiple of ",
                      world_size, " ranks x training.micro_batches = ", training.micro_batches,
                      " (allowed: ", parts, ", ", 2 * parts, ", ", 3 * parts, ", ...)")});
  }
  const int32_t ranks_per_node = options.cluster.ranks_per_node;
  if (ranks_per_node > 0 && world_size % ranks_per_node != 0) {
    conflicts.push_back(
        {"cluster.ranks_per_node",
         absl::StrCat("cluster.ranks_per_node = ", ranks_per_node, " must divide the ", world_size,
                      " ranks of the job (allowed: ", DivisorsOf(world_size), ")")});
  }
  const int32_t sharers = options.cluster.tensor_parallel;
  if (ranks_per_node > 0 && ranks_per_node % sharers != 0) {
    conflicts.push_back({"cluster.tensor_parallel",
                         absl::StrCat("cluster.tensor_parallel = ", sharers,
                                      " must divide cluster.ranks_per_node = ", ranks_per_node,
                                      " (allowed: ", DivisorsOf(ranks_per_node), ")")});
  }
  if (options.data.paths.empty()) {
    conflicts.push_back(
        {"data.paths",
         "data.paths = [] must name at least one text file, directory or .bin prefix"});
  }
}

std::vector<Conflict> FindConflicts(const JobOptions& options, int32_t world_size) {
  std::vector<Conflict> conflicts;
  CheckModel(options, conflicts);
  CheckHeads(options, conflicts);
  CheckMoe(options.model, conflicts);
  CheckForcedRouting(options, conflicts);
  CheckTraining(options.training, conflicts);
  CheckSystem(options, conflicts);
  if (world_size > 0) CheckWorld(options, world_size, conflicts);
  return conflicts;
}

}  // namespace

absl::Status ValidateOptions(const JobOptions& options, int32_t world_size) {
  std::string text;
  for (const Conflict& conflict : FindConflicts(options, world_size)) {
    absl::StrAppend(&text, text.empty() ? "" : "\n", conflict.message);
  }
  return text.empty() ? absl::OkStatus() : absl::InvalidArgumentError(text);
}

absl::Status ValidateConfig(const LoadedConfig& config, int32_t world_size) {
  ErrorList errors;
  for (const Conflict& conflict : FindConflicts(config.options, world_size)) {
    const auto found = config.origins.find(conflict.key);
    errors.Add(found == config.origins.end() ? Origin{"default", 0, 0} : found->second,
               conflict.message);
  }
  return errors.ToStatus();
}

}  // namespace weft
