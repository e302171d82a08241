#include "launch/config/schema.h"

#include <algorithm>
#include <type_traits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/all_to_all_algorithm.h"
#include "launch/config/substitute.h"
#include "models/moe/forced_routing.h"
#include "scheduler/policies.h"

namespace weft {
namespace {

// A key is the path of its field: the two cannot differ.
#define WEFT_FIELD(path) #path, +[](JobOptions & options) { return &options.path; }

constexpr double kMaxCount = 1e9;
constexpr Range kCount{1, kMaxCount};
constexpr Range kCountOrZero{0, kMaxCount};
constexpr Range kPositive{.min = 0, .above_min = true};
constexpr Range kBelowOne{.min = 0, .max = 1, .below_max = true};

// `choices` of an enum are in the order of its values.
static_assert(static_cast<int>(Backbone::kGpt2) == 0 && static_cast<int>(Backbone::kMixtral) == 1);
static_assert(static_cast<int>(Precision::kFp32) == 0 && static_cast<int>(Precision::kBf16) == 1);
static_assert(static_cast<int>(CapacityMode::kDropless) == 0 &&
              static_cast<int>(CapacityMode::kFactor) == 1);
static_assert(static_cast<int>(Routing::kLearned) == 0 && static_cast<int>(Routing::kForced) == 1);

std::vector<Field> MakeSchema() {
  const std::vector<std::string_view> kPolicies(PolicyNames().begin(), PolicyNames().end());
  const std::vector<std::string_view> kPasses(PassNames().begin(), PassNames().end());
  std::vector<std::string_view> kAllToAlls(kAllToAllAlgorithms.size());
  std::transform(kAllToAllAlgorithms.begin(), kAllToAllAlgorithms.end(), kAllToAlls.begin(),
                 [](AllToAllAlgorithm algorithm) { return Name(algorithm); });
  const std::vector<std::string_view> kDevices = {"auto", "cpu", "cuda"};
  const std::vector<std::string_view> kDeviceCollectives = {"auto", "nccl", "host"};
  const std::vector<std::string_view> kExpertPlacements = {"home", "follow", "rebalance", "auto"};
  const std::vector<std::string_view> kGroupedProducts = {"auto", "one_by_one", "one_launch"};
  const std::vector<std::string_view> kWorkloads(WorkloadNames().begin(), WorkloadNames().end());
  return {
      {WEFT_FIELD(schema_version), "The version of this format.", {1, 1}},

      {WEFT_FIELD(run.name),
       "Names the run in logs, metrics and its directory.",
       {},
       Unit::kNone,
       TextRule::kFileName},
      {WEFT_FIELD(run.directory),
       "Where run directories are made.",
       {},
       Unit::kNone,
       TextRule::kNotEmpty},
      {WEFT_FIELD(run.compare),
       "After training, run blocks of the same steps under the plans of these policies in turn and "
       "print their times; [] compares nothing.",
       {},
       Unit::kNone,
       TextRule::kAny,
       kPolicies},
      {WEFT_FIELD(run.compare_workloads),
       "The same for workloads of model.moe.routing: forced, under the plan in force; how much "
       "slower each is than the first.",
       {},
       Unit::kNone,
       TextRule::kAny,
       kWorkloads},
      {WEFT_FIELD(run.compare_rounds),
       "Rounds of these comparisons, in each of which every policy or workload gets one block.",
       {1, 10000}},
      {WEFT_FIELD(run.compare_steps), "Measured steps of one block.", {1, 10000}},
      {WEFT_FIELD(run.log_every), "Steps between two progress lines.", kCount},

      {WEFT_FIELD(data.paths),
       "What to train on: text files, directories of *.txt files, or the common prefix of a "
       ".bin/.idx pair.",
       {},
       Unit::kNone,
       TextRule::kNotEmpty},
      {WEFT_FIELD(data.cache_directory),
       "Where the tokenized data is kept.",
       {},
       Unit::kNone,
       TextRule::kNotEmpty},
      {WEFT_FIELD(data.tokenizer),
       "How text becomes tokens; bytes: one token a byte.",
       {},
       Unit::kNone,
       TextRule::kAny,
       {"bytes"}},
      {WEFT_FIELD(data.validation_fraction),
       "The tail of every document that is held out for validation.",
       {.min = 0, .max = 0.5, .above_min = true}},

      {WEFT_FIELD(model.backbone),
       "gpt2: learned positions, LayerNorm, biases, GELU. mixtral: rotary positions, RMSNorm, "
       "grouped-query attention, "
       "no biases, SwiGLU.",
       {},
       Unit::kNone,
       TextRule::kAny,
       {"gpt2", "mixtral"}},
      {WEFT_FIELD(model.precision),
       "Of activations, and of weights as products read them; master weights, gradients of weights "
       "and optimizer state are fp32. On CPUs bf16 is slower: it is there to try what a GPU does.",
       {},
       Unit::kNone,
       TextRule::kAny,
       {"fp32", "bf16"}},
      {WEFT_FIELD(model.vocab_size),
       "Different tokens; at least 256 for the bytes tokenizer.",
       {1, 16777216}},
      {WEFT_FIELD(model.num_layers), "Transformer blocks.", {1, 1024}},
      {WEFT_FIELD(model.hidden_size),
       "Width of the residual stream; a multiple of num_heads.",
       {1, 65536}},
      {WEFT_FIELD(model.num_heads), "Query heads of the attention.", {1, 1024}},
      {WEFT_FIELD(model.num_kv_heads),
       "Key and value heads: divides num_heads, and equals it for gpt2.",
       {1, 1024}},
      {WEFT_FIELD(model.ffn_hidden_size),
       "Inner width of one expert, and of a dense feed-forward block.",
       {1, 1048576}},
      {WEFT_FIELD(model.max_sequence_length),
       "Positions that gpt2 learns; training.sequence_length fits in it.",
       {1, 1048576}},
      {WEFT_FIELD(model.norm_epsilon),
       "Added to the variance inside the norms.",
       {.min = 0, .max = 0.1, .above_min = true}},
      {WEFT_FIELD(model.rope_theta), "Base of the rotary positions of mixtral.", kPositive},
      {WEFT_FIELD(model.init_std),
       "Standard deviation of the initial weights; output projections get it divided by sqrt(2 * "
       "num_layers).",
       {.min = 0, .max = 10, .above_min = true}},

      {WEFT_FIELD(model.moe.num_experts), "Experts of one layer.", {1, 4096}},
      {WEFT_FIELD(model.moe.top_k),
       "Experts that each token visits; at most num_experts.",
       {1, 4096}},
      {WEFT_FIELD(model.moe.shared_experts),
       "Experts of a layer that every token visits, beside its top_k: one feed-forward block of "
       "shared_experts * ffn_hidden_size, whole on every rank. It runs while rows travel.",
       {0, 64}},
      {WEFT_FIELD(model.moe.every),
       "Layer i, counted from 0, has experts when (i + 1) % every is 0; the others have one dense "
       "feed-forward block.",
       {1, 1024}},
      {WEFT_FIELD(model.moe.renormalize),
       "Scale the weights of a token's chosen experts to sum to 1."},
      {WEFT_FIELD(model.moe.balance_loss),
       "Coefficient of the load-balancing loss; 0: off.",
       {0, 100}},
      {WEFT_FIELD(model.moe.capacity_mode),
       "dropless: an expert takes every token sent to it. factor: at most what capacity_factor "
       "allows; the rest passes "
       "by.",
       {},
       Unit::kNone,
       TextRule::kAny,
       {"dropless", "factor"}},
      {WEFT_FIELD(model.moe.capacity_factor),
       "For capacity_mode factor. f > 0: at most ceil(top_k * f * tokens / num_experts) tokens an "
       "expert and sequence. "
       "0: the largest load. f < 0: the largest load, but at most what -f would allow.",
       {-1000, 1000}},
      {WEFT_FIELD(model.moe.routing),
       "Who chooses a token's experts. learned: the gate. forced, for benchmarks: workload; the "
       "gate still weighs them and learns.",
       {},
       Unit::kNone,
       TextRule::kAny,
       {"learned", "forced"}},
      {WEFT_FIELD(model.moe.workload),
       "For routing forced (docs/skew.md). w0: balanced. w1: hot experts anywhere. w2: the first "
       "experts hot. w3: hot ones evenly spread. w4: balanced, but every quarter of the batch "
       "goes to one quarter of the experts. w5: nothing for the upper half. w6: w2, moving. w7: "
       "w0 with bursts of w2. zipf: by popularity.",
       {},
       Unit::kNone,
       TextRule::kAny,
       kWorkloads},
      {WEFT_FIELD(model.moe.hot_share),
       "For w1, w2, w3, w6 and w7: the share of all choices that hot experts get.",
       {0, 1}},
      {WEFT_FIELD(model.moe.hot_experts),
       "How many are hot; 0: a quarter of num_experts, at least 1.",
       {0, 4096}},
      {WEFT_FIELD(model.moe.workload_period),
       "Steps between two moves of w6 and between two bursts of w7, which last a fifth of it.",
       {1, 1000000}},
      {WEFT_FIELD(model.moe.zipf_exponent),
       "For zipf: the r-th most popular expert has weight r ^ -zipf_exponent.",
       {0, 10}},
      {WEFT_FIELD(model.moe.zipf_in_order),
       "For zipf: experts are popular in their order, so that one rank holds the most popular "
       "ones; otherwise in a random one of each layer."},

      {WEFT_FIELD(training.steps), "Optimizer steps of the whole run.", kCount},
      {WEFT_FIELD(training.global_batch),
       "Sequences a step over all ranks; a multiple of ranks x micro_batches.", kCount},
      {WEFT_FIELD(training.micro_batches),
       "Parts in which a rank computes its share of the batch.",
       {1, 65536}},
      {WEFT_FIELD(training.sequence_length), "Tokens of one sequence.", {1, 1048576}},
      {WEFT_FIELD(training.seed), "Of the initial weights and of the order of the data."},
      {WEFT_FIELD(training.validate_every), "Steps between two validations; 0: at the end only.",
       kCountOrZero},
      {WEFT_FIELD(training.validation_batches), "Global batches of one validation.", kCount},

      {WEFT_FIELD(training.optimizer.learning_rate),
       "The highest rate, reached after the warm-up.",
       {.min = 0, .max = 1000, .above_min = true}},
      {WEFT_FIELD(training.optimizer.min_learning_rate),
       "Where the cosine decay ends; at most learning_rate.",
       {0, 1000}},
      {WEFT_FIELD(training.optimizer.warmup_steps),
       "Steps of linear growth from 0; at most training.steps.", kCountOrZero},
      {WEFT_FIELD(training.optimizer.beta1), "Decay of the mean of the gradients.", kBelowOne},
      {WEFT_FIELD(training.optimizer.beta2), "Decay of the mean of their squares.", kBelowOne},
      {WEFT_FIELD(training.optimizer.epsilon),
       "Added to the root of that mean.",
       {.min = 0, .max = 1, .above_min = true}},
      {WEFT_FIELD(training.optimizer.weight_decay),
       "Decoupled decay of matrices, never of norms and biases.",
       {0, 100}},
      {WEFT_FIELD(training.optimizer.gradient_clip),
       "Largest global norm of the gradients; 0: no limit.",
       {.min = 0}},

      {WEFT_FIELD(cluster.ranks_per_node),
       "Ranks that share a node; 0: what the host names say.",
       {0, 65536}},
      {WEFT_FIELD(cluster.expert_parallel),
       "Ranks that the experts of a layer are spread over; 0: chosen.",
       {0, 65536}},
      {WEFT_FIELD(cluster.expert_sharding),
       "Ranks of a node that share one expert; 0: ranks_per_node, or 1 when expert_parallel is "
       "set.",
       {0, 65536}},
      {WEFT_FIELD(cluster.tensor_parallel),
       "Consecutive ranks of a node that share the attention heads of every layer; divides "
       "ranks_per_node, model.num_heads and model.num_kv_heads. Independent of the two above.",
       {1, 65536}},
      {WEFT_FIELD(cluster.zero_stage),
       "ZeRO: 1 spreads the optimizer state of every parameter over the ranks that hold it; "
       "gradients are then reduce-scattered, and parameters gathered beside the next step.",
       {0, 1}},
      {WEFT_FIELD(cluster.device),
       "What ranks compute on. auto: CUDA devices when every rank has one of its own, otherwise "
       "the "
       "CPU; the log says why.",
       {},
       Unit::kNone,
       TextRule::kAny,
       kDevices},
      {WEFT_FIELD(cluster.share_devices),
       "Several ranks of a host may use one CUDA device, in turn: for tests of layouts, not for "
       "speed."},
      {WEFT_FIELD(cluster.device_collectives),
       "How tensors in the memory of CUDA devices go to other ranks. auto: by NCCL when every rank "
       "has its library and a device of its own, otherwise through the host; the log says why.",
       {},
       Unit::kNone,
       TextRule::kAny,
       kDeviceCollectives},
      {WEFT_FIELD(cluster.nccl_max_ctas),
       "Blocks of threads (each takes a multiprocessor) that one collective of NCCL may have; "
       "fewer "
       "leave more of the device to computations beside it. 0: NCCL's choice.",
       {0, 64}},
      {WEFT_FIELD(cluster.emulate),
       "Delay every transfer as the two links below would; both must then have a bandwidth."},
      {WEFT_FIELD(cluster.collective_deadline),
       "A collective that waits for its ranks longer than this fails.",
       {.min = 0, .max = 86400, .above_min = true},
       Unit::kSeconds},

      {WEFT_FIELD(cluster.compute_share),
       "Computations take their processor time divided by this, as on a slower processor; needs "
       "one thread a rank (OMP_NUM_THREADS=1). For emulated clusters, whose ranks share few cores.",
       {.min = 0, .max = 1, .above_min = true}},
      {WEFT_FIELD(cluster.compute_processors),
       "Processors that computations keep to, by their numbers; everything else of a rank keeps to "
       "the others that it may use. Empty: computations run anywhere.",
       {0, 1023}},
      {WEFT_FIELD(cluster.intra.bandwidth),
       "Bytes per second and rank.",
       {.min = 0},
       Unit::kBytesPerSecond},
      {WEFT_FIELD(cluster.intra.latency), "Added to every transfer.", {0, 60}, Unit::kSeconds},

      {WEFT_FIELD(cluster.inter.bandwidth),
       "Bytes per second and rank.",
       {.min = 0},
       Unit::kBytesPerSecond},
      {WEFT_FIELD(cluster.inter.latency), "Added to every transfer.", {0, 60}, Unit::kSeconds},

      {WEFT_FIELD(tuning.policy),
       "How a plan is chosen from the measured costs. weft: the best that a search finds. The "
       "others "
       "plan as these systems do (docs/policies.md), for comparison.",
       {},
       Unit::kNone,
       TextRule::kAny,
       kPolicies},
      {WEFT_FIELD(tuning.without_passes),
       "Passes of the planner that are left out of every policy (docs/policies.md), to see what "
       "each is worth.",
       {},
       Unit::kNone,
       TextRule::kAny,
       kPasses},
      {WEFT_FIELD(tuning.replan), "Look for a better plan while training."},
      {WEFT_FIELD(tuning.replan_every), "Steps between two looks.", kCount},
      {WEFT_FIELD(tuning.trial_rounds),
       "Rounds in which plans that are predicted to be about equally fast take turns, in real "
       "steps, once the costs are refined; the fastest stays. 0: none. Policy weft only.",
       {0, 100}},
      {WEFT_FIELD(tuning.hysteresis),
       "Times the error of a predicted gain, by noise and by the cost model, that a new plan must "
       "gain.",
       {0, 1000}},
      {WEFT_FIELD(tuning.profile_seconds),
       "Budget of the calibration before the first step.",
       {.min = 0, .max = 86400, .above_min = true},
       Unit::kSeconds},
      {WEFT_FIELD(tuning.degrees), "Pipeline degrees to choose from, ascending.", {1, 64}},
      {WEFT_FIELD(tuning.all_to_alls),
       "Ways of doing an all-to-all to choose from, where expert parallelism spans nodes with "
       "several "
       "ranks each (docs/collectives.md).",
       {},
       Unit::kNone,
       TextRule::kAny,
       kAllToAlls},
      {WEFT_FIELD(tuning.sm_limits),
       "Multiprocessors of a device that a plan may limit every collective of NCCL to, ascending, "
       "beside what cluster.nccl_max_ctas says; each is measured. Policy weft only.",
       {1, 64}},
      {WEFT_FIELD(tuning.expert_placement),
       "Where experts work: home; follow, moved before every step as the load of the last steps "
       "says; rebalance, at home, which a new plan may move to where the load wants it; auto, what "
       "is predicted to be faster (docs/placement.md). Policy weft only.",
       {},
       Unit::kNone,
       TextRule::kAny,
       kExpertPlacements},
      {WEFT_FIELD(tuning.allow_reassociation),
       "Plans may add in another order, which copies of hot experts, experts that change homes and "
       "gathered shards of experts need; losses then agree to 1e-6, not bit for bit."},
      {WEFT_FIELD(tuning.grouped_products),
       "How the products of all experts of a layer are computed. one_by_one; one_launch: by one "
       "kernel, which CPUs do not have; auto: as is measured to be faster before the first step. A "
       "resumed run keeps its own.",
       {},
       Unit::kNone,
       TextRule::kAny,
       kGroupedProducts},
      {WEFT_FIELD(tuning.profile), "A saved profile.json to start from; empty: calibrate."},
      {WEFT_FIELD(tuning.plan), "A saved plan.json to run; empty: make one."},

      {WEFT_FIELD(checkpoint.every), "Steps between two checkpoints; 0: no periodic ones.",
       kCountOrZero},
      {WEFT_FIELD(checkpoint.at_end), "Write one after the last step."},
      {WEFT_FIELD(checkpoint.keep), "Newest checkpoints kept.", kCount},

      {WEFT_FIELD(service.address),
       "What to listen on: an address of this host, or a network such as 10.0.0.0/24, which means "
       "every host's own address inside it.",
       {},
       Unit::kNone,
       TextRule::kNotEmpty},
      {WEFT_FIELD(service.insecure_network),
       "Allow an address other than loopback, without encryption: everybody on that network may "
       "stop the job."},
      {WEFT_FIELD(service.port),
       "Port to listen on; 0: any free one, written to the run directory.",
       {0, 65535}},
      {WEFT_FIELD(service.heartbeat_seconds),
       "Time between two signs of life of a rank.",
       {.min = 0, .max = 3600, .above_min = true},
       Unit::kSeconds},
      {WEFT_FIELD(service.heartbeat_deadline),
       "A rank silent for longer is lost; greater than heartbeat_seconds.",
       {.min = 0, .max = 86400, .above_min = true},
       Unit::kSeconds},
  };
}

#undef WEFT_FIELD

std::vector<Section> MakeSections() {
  return {
      {"run", "What the run is called and how it reports."},
      {"data", "What is learned from."},
      {"model", "The mathematics of the forward pass."},
      {"model.moe", "The layers with experts."},
      {"training",
       "The mathematics of a step. model, data and training decide the result; the rest decides "
       "the speed."},
      {"training.optimizer", "AdamW with a linear warm-up and a cosine decay."},
      {"cluster", "The ranks and the links between them."},
      {"cluster.intra", "The emulated link between ranks of one node."},
      {"cluster.inter", "The emulated link between nodes."},
      {"tuning", "How the plan of a step is found."},
      {"checkpoint", "When the state is saved."},
      {"service", "How others see and steer the job."},
  };
}

std::string FormatBound(double bound, Unit unit) {
  return bound == 0 ? "0" : FormatQuantity(bound, unit);
}

std::string FormatRange(const Range& range, Unit unit) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (range.min == range.max) return FormatBound(range.min, unit);
  const std::string min = FormatBound(range.min, unit);
  const std::string max = FormatBound(range.max, unit);
  if (range.min > -kInfinity && range.max < kInfinity && !range.above_min && !range.below_max) {
    return absl::StrCat(min, " to ", max);
  }
  const std::string below = absl::StrCat(range.below_max ? "less than " : "at most ", max);
  const std::string above = absl::StrCat(range.above_min ? "greater than " : "at least ", min);
  if (range.max == kInfinity) return range.min == -kInfinity ? "any number" : above;
  return range.min == -kInfinity ? below : absl::StrCat(above, " and ", below);
}

std::string FormatText(std::string_view value) {
  std::string text = "\"";
  for (const char c : EscapeSubstitutions(value)) {
    if (c == '"' || c == '\\') {
      text.push_back('\\');
      text.push_back(c);
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      absl::StrAppendFormat(&text, "\\x%02X", static_cast<unsigned char>(c));
    } else {
      text.push_back(c);
    }
  }
  text.push_back('"');
  return text;
}

std::string FormatValue(const Field& field, double value) {
  return FormatQuantity(value, field.unit);
}
std::string FormatValue(const Field&, bool value) { return value ? "true" : "false"; }
std::string FormatValue(const Field&, int32_t value) { return absl::StrCat(value); }
std::string FormatValue(const Field&, uint64_t value) { return absl::StrCat(value); }
std::string FormatValue(const Field& field, const std::string& value) {
  return field.choices.empty() ? FormatText(value) : value;
}
template <typename E>
requires std::is_enum_v<E> std::string FormatValue(const Field& field, E value) {
  return std::string(field.choices[static_cast<size_t>(value)]);
}
template <typename T>
std::string FormatValue(const Field& field, const std::vector<T>& values) {
  std::string text = "[";
  for (size_t i = 0; i < values.size(); ++i) {
    absl::StrAppend(&text, i == 0 ? "" : ", ", FormatValue(field, values[i]));
  }
  return text + "]";
}

std::string AllowedTexts(TextRule rule) {
  switch (rule) {
    case TextRule::kAny:
      return "a text, or \"\"";
    case TextRule::kNotEmpty:
      return "a text that is not empty";
    case TextRule::kFileName:
      return "1 to 64 letters, digits, '.', '_' or '-', not starting with '.' or '-'";
  }
  return "";
}

}  // namespace

const std::vector<Field>& Schema() {
  static const std::vector<Field> schema = MakeSchema();
  return schema;
}

const std::vector<Section>& Sections() {
  static const std::vector<Section> sections = MakeSections();
  return sections;
}

const Field* FindField(std::string_view key) {
  for (const Field& field : Schema()) {
    if (field.key == key) return &field;
  }
  return nullptr;
}

const Section* FindSection(std::string_view key) {
  for (const Section& section : Sections()) {
    if (section.key == key) return &section;
  }
  return nullptr;
}

std::string_view ParentOf(std::string_view key) {
  const size_t dot = key.rfind('.');
  return dot == std::string_view::npos ? std::string_view() : key.substr(0, dot);
}

std::string_view NameOf(std::string_view key) {
  const size_t dot = key.rfind('.');
  return dot == std::string_view::npos ? key : key.substr(dot + 1);
}

std::vector<std::string_view> NamesIn(std::string_view section) {
  std::vector<std::string_view> names;
  for (const Field& field : Schema()) {
    if (ParentOf(field.key) == section) names.push_back(NameOf(field.key));
  }
  for (const Section& inner : Sections()) {
    if (ParentOf(inner.key) == section) names.push_back(NameOf(inner.key));
  }
  return names;
}

std::string AllowedElements(const Field& field) {
  if (!field.choices.empty()) {
    std::string text;
    for (size_t i = 0; i < field.choices.size(); ++i) {
      const char* const separator = i == 0 ? "" : i + 1 == field.choices.size() ? " or " : ", ";
      absl::StrAppend(&text, separator, std::string(field.choices[i]));
    }
    return text;
  }
  if (std::holds_alternative<FieldOf<bool>>(field.slot)) return "true or false";
  if (std::holds_alternative<FieldOf<std::string>>(field.slot) ||
      std::holds_alternative<FieldOf<std::vector<std::string>>>(field.slot)) {
    return AllowedTexts(field.text);
  }
  if (std::holds_alternative<FieldOf<uint64_t>>(field.slot)) return "0 to 18446744073709551615";
  return FormatRange(field.range, field.unit);
}

std::string AllowedValues(const Field& field) {
  const bool is_list = std::holds_alternative<FieldOf<std::vector<std::string>>>(field.slot) ||
                       std::holds_alternative<FieldOf<std::vector<int32_t>>>(field.slot);
  return absl::StrCat(is_list ? "a list; each " : "", AllowedElements(field));
}

std::string FormatField(const Field& field, JobOptions& options) {
  return std::visit([&](auto slot) { return FormatValue(field, *slot(options)); }, field.slot);
}

}  // namespace weft
