// What is worked out of a step's sizes from counted rows is what the step records.

#include "models/moe/routed_sizes.h"

#include <gtest/gtest.h>

#include "base/status_macros.h"
#include "graph/fixed_plan.h"
#include "runtime/worker.h"
#include "tests/runtime/tiny_job.h"
#include "tests/support/spawn_ranks.h"

namespace weft {
namespace {

struct Case {
  const char* name;
  Topology topology;
  Layout layout;
  AllToAllAlgorithm all_to_all = AllToAllAlgorithm::kDirect;
  Placements placements = {};
};

std::vector<Case> Cases() {
  const Placements moved = {{{0, {{}, {0, 1, 2, 5}, {3}, {4}}}, {1, {{5}, {4}, {0, 3}, {1, 2}}}},
                            {}};
  const Placements copied = {
      {{0, {{0, 1}, {0, 2}, {0, 3, 4}, {0, 5}}}, {1, {{1, 4}, {2}, {0, 3}, {4, 5}}}}, {}};
  std::vector<Case> cases = {{"one node", {4, 4}, {1, 4, 1}},
                             {"sharded", {4, 2}, {1, 2, 2}},
                             {"experts twice", {4, 2}, {2, 2, 1}},
                             {"sharded, copied",
                              {4, 2},
                              {1, 2, 2},
                              AllToAllAlgorithm::kDirect,
                              {{{1, {{0, 1, 2, 5}, {0, 3, 4, 5}}}}, {}}},
                             {"shards gathered",
                              {4, 2},
                              {1, 2, 2},
                              AllToAllAlgorithm::kDirect,
                              {{{0, {{0, 1, 2}, {3, 4, 5}}, 2}}, {}}},
                             {"some shards gathered",
                              {4, 4},
                              {1, 1, 4},
                              AllToAllAlgorithm::kDirect,
                              {{{0, {{0, 1, 2, 3, 4, 5}}, 2}, {1, {{0, 1, 2, 3, 4, 5}}, 4}}, {}}}};
  for (const AllToAllAlgorithm algorithm : kAllToAllAlgorithms) {
    cases.push_back({"at home", {4, 2}, {1, 4, 1}, algorithm});
    cases.push_back({"moved", {4, 2}, {1, 4, 1}, algorithm, moved});
    cases.push_back({"copied", {4, 2}, {1, 4, 1}, algorithm, copied});
  }
  return cases;
}

struct Recorded {
  std::vector<std::vector<double>> sizes;  // [rank][task]
  std::vector<int32_t> counts;
};

WorkerOptions OptionsOf(const Case& c) {
  WorkerOptions options;
  options.model = TinyModel(Backbone::kMixtral);
  options.model.moe.routing = Routing::kForced;
  options.model.moe.workload = Workload::kZipf;
  options.topology = c.topology;
  options.layout = c.layout;
  options.batch = {2, TinyJob::kLength, 1, 2 * c.topology.world_size};
  return options;
}

Plan PlanOf(const Case& c, const StepGraph& graph, int32_t slices = 1) {
  return MakeFixedPlan(graph, {.forward = 3,
                               .backward = 2,
                               .slices = slices,
                               .all_to_all = c.all_to_all,
                               .placements = c.placements});
}

absl::StatusOr<Recorded> RunOneStep(const Case& c, int32_t slices = 1) {
  Recorded recorded;
  recorded.sizes.resize(static_cast<size_t>(c.topology.world_size));
  const absl::Status status =
      SpawnRanks(c.topology.world_size, [&](Backend& backend) -> absl::Status {
        const std::unique_ptr<Kernels> kernels = MakeCpuKernels();
        WEFT_ASSIGN_OR_RETURN(const std::unique_ptr<Worker> worker,
                              Worker::Connect(backend, *kernels, OptionsOf(c)));
        WEFT_RETURN_IF_ERROR(worker->Install(
            StepKind::kTraining,
            std::make_shared<const Plan>(PlanOf(c, *worker->graph(StepKind::kTraining), slices))));
        const std::vector<int32_t> tokens(static_cast<size_t>(2 * TinyJob::kLength), 3);
        Worker::StepArgs args;
        args.tokens = tokens;
        args.labels = tokens;
        WEFT_ASSIGN_OR_RETURN(const StepReport report, worker->RunStep(StepKind::kTraining, args));
        std::vector<double>& sizes = recorded.sizes[static_cast<size_t>(backend.rank())];
        for (const Span& span : report.spans) sizes.push_back(span.size);
        if (backend.rank() == 0) {
          recorded.counts.assign(worker->expert_counts().begin(), worker->expert_counts().end());
        }
        return absl::OkStatus();
      });
  WEFT_RETURN_IF_ERROR(status);
  return recorded;
}

TEST(RoutedSizesTest, AreWhatAStepRecords) {
  for (const Case& c : Cases()) {
    SCOPED_TRACE(std::string(c.name) + ", " + std::string(Name(c.all_to_all)));
    const auto recorded = RunOneStep(c);
    ASSERT_TRUE(recorded.ok()) << recorded.status();
    const WorkerOptions options = OptionsOf(c);
    const auto world = static_cast<size_t>(c.topology.world_size);
    const auto experts = static_cast<size_t>(options.model.moe.num_experts);
    std::vector<std::vector<int32_t>> matrices(2);
    for (size_t r = 0; r < world; ++r) {
      for (size_t layer = 0; layer < 2; ++layer) {
        const auto first =
            recorded->counts.begin() + static_cast<std::ptrdiff_t>((r * 2 + layer) * experts);
        matrices[layer].insert(matrices[layer].end(), first,
                               first + static_cast<std::ptrdiff_t>(experts));
      }
    }
    const StepGraph graph =
        BuildStepGraph(options.model, c.topology, c.layout, options.batch, StepKind::kTraining);
    const Plan plan = PlanOf(c, graph);
    const CountedRows rows(options.model, options.batch, matrices);
    RoutedSizes sizes({graph, plan, options.model, c.topology, c.layout, options.batch, rows});
    std::vector<double> worked_out(world);
    int compared = 0;
    for (size_t t = 0; t < plan.tasks.size(); ++t) {
      const Op& op = graph.op(plan.tasks[t].op);
      const bool routed = sizes.Sizes(static_cast<int32_t>(t), worked_out);
      double busiest = 0;
      for (size_t r = 0; r < world; ++r) {
        const double size = recorded->sizes[r][t];
        busiest = std::max(busiest, size);
        if (!routed) continue;
        ++compared;
        EXPECT_EQ(size, std::max(worked_out[r], 0.0))
            << TaskName(graph, plan.tasks[t]) << " on rank " << r;
      }
      if (op.away || op.shards) {
        EXPECT_EQ(busiest, TaskSize(graph, plan, plan.tasks[t])) << OpName(graph, op.id);
      }
    }
    EXPECT_GT(compared, 50);
  }
}

// Shards of gradients and parameters (ZeRO-1) are of one size: what a rank sends is what was
// expected, slice by slice.
TEST(ShardSizesTest, AreWhatAStepRecords) {
  for (const Case& c :
       {Case{"two nodes", {4, 2}, {1, 4, 1, 1, 1}}, Case{"one node", {4, 4}, {1, 4, 1, 1, 1}},
        Case{"a rank a node", {4, 1}, {1, 4, 1, 1, 1}},
        Case{"shared heads", {4, 2}, {1, 2, 2, 2, 1}},
        Case{"copies of experts", {4, 2}, {2, 2, 1, 1, 1}}}) {
    SCOPED_TRACE(c.name);
    const auto recorded = RunOneStep(c, 3);
    ASSERT_TRUE(recorded.ok()) << recorded.status();
    const WorkerOptions options = OptionsOf(c);
    const StepGraph graph =
        BuildStepGraph(options.model, c.topology, c.layout, options.batch, StepKind::kTraining);
    const Plan plan = PlanOf(c, graph, 3);
    int compared = 0;
    for (size_t t = 0; t < plan.tasks.size(); ++t) {
      if (graph.op(plan.tasks[t].op).cut != Cut::kSlices) continue;
      for (const std::vector<double>& rank : recorded->sizes) {
        ++compared;
        EXPECT_NEAR(rank[t], TaskSize(graph, plan, plan.tasks[t]), 1e-9 * rank[t])
            << TaskName(graph, plan.tasks[t]);
      }
    }
    EXPECT_GT(compared, 50);
  }
}

}  // namespace
}  // namespace weft
