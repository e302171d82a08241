// Plans that nobody would choose, each run for a step by four ranks on one node or two: none
// blocks, all train alike (to the last bit, or to 1e-6 where a plan may add in another order), and
// what every task carries is what a simulation takes it for.
//
// WEFT_RANDOM_PLANS=10000 sets how many plans are run, over all cases together; a failure names the
// seed of its plan, and WEFT_RANDOM_PLANS_FROM=SEED begins there. bench/random_plans.py runs as
// many and records what the cases say of themselves.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/fingerprint.h"
#include "base/random.h"
#include "base/status_macros.h"
#include "graph/fixed_plan.h"
#include "models/build_step_graph.h"
#include "models/moe/routed_sizes.h"
#include "runtime/worker.h"
#include "tests/runtime/tiny_job.h"
#include "tests/support/random_plan.h"
#include "tests/support/spawn_ranks.h"

namespace weft {
namespace {

constexpr int32_t kRanks = 4;

int64_t FromEnvironment(const char* name, int64_t otherwise) {
  const char* text = std::getenv(name);
  int64_t value = 0;
  if (text == nullptr) return otherwise;
  EXPECT_TRUE(absl::SimpleAtoi(text, &value) && value >= 0) << name << " is " << text;
  return value;
}

struct Case {
  const char* name;
  Layout layout;
  int32_t length;
  int32_t micro_batches;
  Workload workload;
  int32_t ranks_per_node = 2;
};

// EP across nodes and over all ranks, experts shared by two and by four, copies of experts, shared
// heads; sequences in one piece and in tiles that blocks are cut along; ranks without a row.
constexpr Case kCases[] = {
    {"EpEsp", {1, 2, 2}, 12, 1, Workload::kHotExperts},
    {"EpEspTiles", {1, 2, 2}, 128, 1, Workload::kZipf},
    {"Esp4", {1, 1, 4}, 12, 2, Workload::kZipf, kRanks},
    {"Ep4", {1, 4, 1}, 12, 1, Workload::kZeroLoadRanks},
    {"Ep4Tiles", {1, 4, 1}, 128, 2, Workload::kZipf},
    {"EdpEp", {2, 2, 1}, 12, 2, Workload::kRaggedSources},
    {"EpEspMp", {1, 2, 2, 2}, 12, 1, Workload::kHotRank},
    {"Ep4MpTiles", {1, 4, 1, 2}, 128, 1, Workload::kSpreadHotExperts},
};

WorkerOptions OptionsOf(const Case& c) {
  WorkerOptions options;
  options.model = TinyModel(Backbone::kMixtral);
  options.model.max_sequence_length = c.length;
  options.model.moe.routing = Routing::kForced;
  options.model.moe.workload = c.workload;
  options.topology = {kRanks, c.ranks_per_node};
  options.layout = c.layout;
  options.batch.length = c.length;
  options.batch.micro_batches = c.micro_batches;
  options.batch.sequences = 2 / c.micro_batches;
  options.batch.global_sequences = 2 * kRanks;
  options.seed = 7;
  options.deadline = absl::Seconds(30);
  return options;
}

// What a step has computed on a rank, bit by bit.
struct Bits {
  double loss = 0, balance = 0, norm = 0;
  uint64_t gradients = 0;
  friend bool operator==(const Bits&, const Bits&) = default;
};

Bits BitsOf(Worker& worker) {
  const StepTotals& totals = worker.totals(StepKind::kTraining);
  Bits bits{totals.cross_entropy, totals.balance, totals.gradient_norm, 0};
  for (const Bucket* bucket : worker.parameters().all()) {
    const auto* bytes = reinterpret_cast<const char*>(bucket->gradient.as<float>());
    const auto size = static_cast<size_t>(bucket->elements) * sizeof(float);
    bits.gradients = CombineFingerprints(bits.gradients, Fingerprint({bytes, size}));
  }
  return bits;
}

bool Alike(const Plan& plan, const Bits& bits, const Bits& expected) {
  if (plan.numerics == "exact") return bits == expected;
  const auto near = [](double value, double of) { return std::abs(value - of) <= 1e-6 * of; };
  return near(bits.loss, expected.loss) && near(bits.balance, expected.balance) &&
         near(bits.norm, expected.norm);
}

// On this rank's clock: streams kept the plan's order, so all members of a group called its
// collectives in one order, and nothing began before what it needs had ended.
absl::Status CheckOrder(const StepGraph& graph, const Plan& plan, const StepReport& report) {
  const std::vector<std::vector<int32_t>> needs = TaskNeeds(graph, plan);
  std::array<int64_t, kNumStreams> free = {};
  if (report.spans.size() != plan.tasks.size()) return absl::InternalError("a task has no span");
  for (size_t t = 0; t < plan.tasks.size(); ++t) {
    const Span& span = report.spans[t];
    const StreamKind stream = StreamUnder(plan.streams, graph.op(plan.tasks[t].op).stream);
    int64_t& stream_free = free[static_cast<size_t>(stream)];
    const auto early = [&](int64_t until) {
      return span.begin_nanos >= until ? absl::OkStatus()
                                       : absl::InternalError(absl::StrCat(
                                             TaskName(graph, plan.tasks[t]), " began too early"));
    };
    WEFT_RETURN_IF_ERROR(early(stream_free));
    for (const int32_t need : needs[t]) {
      WEFT_RETURN_IF_ERROR(early(report.spans[static_cast<size_t>(need)].end_nanos));
    }
    stream_free = span.end_nanos;
  }
  return absl::OkStatus();
}

// The routing of the run, token by token.
class ChosenRows final : public RoutedRows {
 public:
  explicit ChosenRows(const WorkerOptions& options) : options_(options) {}

  void Count(int32_t layer, int32_t micro_batch, int32_t rank, RowRange tokens,
             std::span<int32_t> rows) const override {
    const BatchShape& batch = options_.batch;
    const ForcedRouting routing(options_.model.moe, batch.length, options_.seed, layer);
    const RoutedBatch routed{options_.model.moe.workload, 0,
                             (rank * batch.micro_batches + micro_batch) * batch.sequences,
                             batch.global_sequences};
    std::vector<int32_t> experts(static_cast<size_t>(options_.model.moe.top_k));
    std::fill(rows.begin(), rows.end(), 0);
    for (int64_t token = tokens.begin; token < tokens.end; ++token) {
      routing.Choose(routed, token, experts);
      for (const int32_t e : experts) ++rows[static_cast<size_t>(e)];
    }
  }

 private:
  const WorkerOptions& options_;
};

absl::Status CheckSizes(const Worker& worker, const Plan& plan, const StepReport& report) {
  const WorkerOptions& o = worker.options();
  const StepGraph& graph = *worker.graph(StepKind::kTraining);
  const ChosenRows rows(o);
  RoutedSizes routed({graph, plan, o.model, o.topology, o.layout, o.batch, rows});
  std::vector<double> sizes(static_cast<size_t>(o.topology.world_size));
  for (size_t t = 0; t < plan.tasks.size(); ++t) {
    if (!routed.Sizes(static_cast<int32_t>(t), sizes)) continue;
    const double size = sizes[static_cast<size_t>(worker.rank().value)];
    // No part in a step: nothing is moved.
    if (report.spans[t].size == (size == RoutedSizes::kNoPart ? 0 : size)) continue;
    return absl::InternalError(absl::StrCat(TaskName(graph, plan.tasks[t]), " carried ",
                                            report.spans[t].size, ", simulated ", size));
  }
  return absl::OkStatus();
}

// Runs a step of every plan on this rank. Nothing is learned in between, so that all of them start
// from the same parameters.
class RankRun {
 public:
  RankRun(Worker& worker, const Case& c) : worker_(worker) {
    const CounterRng random(11, absl::StrCat("tokens of rank ", worker.rank().value));
    const auto vocabulary = static_cast<uint64_t>(worker.options().model.vocab_size);
    for (int64_t i = 0; i < 2 * int64_t{c.length}; ++i) {
      const auto at = static_cast<uint64_t>(2 * i);
      tokens_.push_back(static_cast<int32_t>(random.Bits(at) % vocabulary));
      labels_.push_back(static_cast<int32_t>(random.Bits(at + 1) % vocabulary));
    }
  }

  absl::StatusOr<Bits> Run(const Plan& plan) {
    const StepGraph& graph = *worker_.graph(StepKind::kTraining);
    WEFT_RETURN_IF_ERROR(worker_.Install(StepKind::kTraining, std::make_shared<const Plan>(plan)));
    Worker::StepArgs args;
    args.tokens = tokens_;
    args.labels = labels_;
    WEFT_ASSIGN_OR_RETURN(const StepReport report, worker_.RunStep(StepKind::kTraining, args));
    WEFT_RETURN_IF_ERROR(CheckOrder(graph, plan, report));
    WEFT_RETURN_IF_ERROR(CheckSizes(worker_, plan, report));
    return BitsOf(worker_);
  }

 private:
  Worker& worker_;
  std::vector<int32_t> tokens_, labels_;
};

// What has been run and found right, by what the plans promise.
struct PlanCounts {
  int exact = 0, reassociating = 0;
  int away = 0;      // experts work elsewhere or shards are gathered
  int by_steps = 0;  // some layer does its all-to-alls in another way than directly
  int cut = 0;       // some pipeline has several chunks

  void Add(const Plan& plan) {
    ++(plan.numerics == "exact" ? exact : reassociating);
    away += plan.placements.empty() ? 0 : 1;
    by_steps += std::any_of(plan.all_to_alls.begin(), plan.all_to_alls.end(),
                            [](const AllToAllChoice& choice) {
                              return choice.algorithm != AllToAllAlgorithm::kDirect;
                            });
    cut += std::any_of(plan.degrees.begin(), plan.degrees.end(),
                       [](const DegreeChoice& choice) { return choice.degree > 1; });
  }
};

class RandomPlansTest : public testing::TestWithParam<Case> {};

TEST_P(RandomPlansTest, EveryPlanEndsAndTrainsAlikeAndCarriesWhatIsSimulated) {
  const Case& c = GetParam();
  const int64_t cases = std::ssize(kCases);
  const int64_t plans = (FromEnvironment("WEFT_RANDOM_PLANS", 150) + cases - 1) / cases;
  const auto first = static_cast<uint64_t>(FromEnvironment("WEFT_RANDOM_PLANS_FROM", 0));
  PlanCounts counts;  // rank 0's
  const absl::Status status = SpawnRanks(kRanks, [&](Backend& backend) -> absl::Status {
    const std::unique_ptr<Kernels> kernels = MakeCpuKernels();
    WEFT_ASSIGN_OR_RETURN(const std::unique_ptr<Worker> worker,
                          Worker::Connect(backend, *kernels, OptionsOf(c)));
    const StepGraph& graph = *worker->graph(StepKind::kTraining);
    RankRun run(*worker, c);
    WEFT_ASSIGN_OR_RETURN(const Bits expected, run.Run(MakeFixedPlan(graph, {.streams = 1})));
    if (!(expected.norm > 0)) return absl::InternalError("nothing was computed");
    for (uint64_t seed = first; seed < first + static_cast<uint64_t>(plans); ++seed) {
      const std::string which = absl::StrCat(c.name, ", plan of seed ", seed);
      const Plan plan = RandomPlan(graph, seed);
      WEFT_RETURN_IF_ERROR(WithContext(ValidatePlan(graph, plan), which));
      const absl::StatusOr<Bits> bits = run.Run(plan);
      WEFT_RETURN_IF_ERROR(WithContext(bits.status(), which));
      if (!Alike(plan, *bits, expected))
        return absl::InternalError(absl::StrCat(which, ": trains otherwise"));
      if (backend.rank() == 0) counts.Add(plan);
    }
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(counts.exact + counts.reassociating, plans);
  RecordProperty("layout", DescribeLayout(c.layout));
  RecordProperty("deadline_seconds", static_cast<int>(absl::ToInt64Seconds(OptionsOf(c).deadline)));
  RecordProperty("exact", counts.exact);
  RecordProperty("reassociating", counts.reassociating);
  RecordProperty("with_placements", counts.away);
  RecordProperty("not_all_direct", counts.by_steps);
  RecordProperty("pipelined", counts.cut);
}

INSTANTIATE_TEST_SUITE_P(Cases, RandomPlansTest, testing::ValuesIn(kCases),
                         [](const auto& test) { return test.param.name; });

// What is random is really in the plans: each choice is made somewhere, and no two are alike.
TEST(RandomPlanTest, DiffersFromSeedToSeed) {
  const Case& c = kCases[4];
  const WorkerOptions options = OptionsOf(c);
  const StepGraph graph = BuildStepGraph(options.model, options.topology, options.layout,
                                         options.batch, StepKind::kTraining);
  std::set<int32_t> streams, degrees, slices;
  std::set<AllToAllAlgorithm> algorithms;
  std::set<std::string> texts;
  bool cut_block = false, moved = false;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const Plan plan = RandomPlan(graph, seed);
    EXPECT_TRUE(ValidatePlan(graph, plan).ok()) << ValidatePlan(graph, plan);
    EXPECT_EQ(plan, RandomPlan(graph, seed));
    texts.insert(PlanToJson(graph, plan));
    streams.insert(plan.streams);
    for (const DegreeChoice& choice : plan.degrees) degrees.insert(choice.degree);
    for (const AllToAllChoice& choice : plan.all_to_alls) algorithms.insert(choice.algorithm);
    moved = moved || !plan.placements.empty();
    int32_t of_layer_0 = 0;
    for (const PlanTask& task : plan.tasks) {
      const Op& op = graph.op(task.op);
      of_layer_0 += op.key.kind == OpKind::kGradAllReduce && op.layer == 0;
      cut_block = cut_block || (op.key.kind == OpKind::kAttention && task.num_chunks > 1);
    }
    slices.insert(of_layer_0);
  }
  EXPECT_EQ(texts.size(), 50u);
  EXPECT_EQ(streams, (std::set<int32_t>{1, 2, 3}));
  EXPECT_EQ(degrees, (std::set<int32_t>{1, 2, 3, 4, 5}));
  EXPECT_EQ(slices, (std::set<int32_t>{1, 2, 3, 4}));
  EXPECT_EQ(algorithms.size(), kAllToAllAlgorithms.size());
  EXPECT_TRUE(cut_block);
  EXPECT_TRUE(moved);

  const WorkerOptions shared = OptionsOf(kCases[2]);
  const StepGraph shares = BuildStepGraph(shared.model, shared.topology, shared.layout,
                                          shared.batch, StepKind::kTraining);
  std::set<int32_t> gathered;
  for (uint64_t seed = 0; seed < 50; ++seed)
    gathered.insert(GatheredOf(RandomPlan(shares, seed), 0));
  EXPECT_EQ(gathered, (std::set<int32_t>{1, 2, 4}));
}

}  // namespace
}  // namespace weft
