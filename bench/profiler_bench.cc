// What profiling costs: on the hot path two clock reads and a span a task (steps of empty tasks
// with and without spans, in turn), on rank 0 one merge of all ranks' spans and one refresh of the
// cost model. Prints one JSON object. Each figure is the median of kRounds rounds.

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <vector>

#include "base/check.h"
#include "base/clock.h"
#include "base/random.h"
#include "profiler/instances.h"
#include "profiler/online_costs.h"
#include "runtime/executor.h"

namespace weft {
namespace {

constexpr int kRounds = 31;
constexpr int32_t kRanks = 8;
constexpr int32_t kTasks = 512;  // of one step, on every rank

double MedianOf(std::array<double, kRounds>& values) {
  std::nth_element(values.begin(), values.begin() + kRounds / 2, values.end());
  return values[kRounds / 2];
}

double NanosOf(const std::function<void()>& body) {
  const int64_t begin = MonotonicClock().NowNanos();
  body();
  return static_cast<double>(MonotonicClock().NowNanos() - begin);
}

// Median nanoseconds of one call of `body`.
double MedianNanos(const std::function<void()>& body) {
  std::array<double, kRounds> nanos;
  for (double& n : nanos) n = NanosOf(body);
  return MedianOf(nanos);
}

// A chain of experts and EP all-to-alls of many sizes.
StepGraph MakeGraph() {
  StepGraph graph;
  graph.num_layers = kTasks;
  for (int32_t i = 0; i < kTasks; ++i) {
    Op op;
    op.id = OpId{i};
    const bool travels = i % 2 == 1;
    op.key.kind = travels ? OpKind::kDispatch : OpKind::kExpert;
    op.key.direction = Direction::kForward;
    op.key.group = travels ? GroupKind::kEp : GroupKind::kNone;
    op.key.group_size = travels ? kRanks : 1;
    op.key.link = travels ? LinkClass::kInterNode : LinkClass::kNone;
    op.stream = travels ? StreamKind::kInter : StreamKind::kCompute;
    op.layer = i;
    graph.ops.push_back(op);
  }
  return graph;
}

Plan MakePlan(const StepGraph& graph) {
  Plan plan;
  plan.graph_fingerprint = FingerprintOf(graph);
  for (int32_t i = 0; i < kTasks; ++i) {
    PlanTask task;
    task.op = OpId{i};
    plan.tasks.push_back(task);
  }
  return plan;
}

StepSpans MakeSpans() {
  const CounterRng rng(1, "durations");
  StepSpans spans;
  spans.by_rank.resize(kRanks);
  for (int32_t rank = 0; rank < kRanks; ++rank) {
    for (int32_t task = 0; task < kTasks; ++task) {
      const double size = 1e4 * (1 + task % 24);
      const double nanos =
          (2e4 + size) * (1 + 0.05 * rng.Uniform(static_cast<uint64_t>(rank * kTasks + task)));
      const int64_t begin = 1'000'000LL * task;
      spans.by_rank[static_cast<size_t>(rank)].push_back(
          {0, 0, rank, task, begin, begin + static_cast<int64_t>(nanos), size});
    }
  }
  return spans;
}

class EmptyProgram final : public StepProgram {
 public:
  absl::Status Prepare(const StepGraph&, const Plan&) override { return absl::OkStatus(); }
  absl::Status Run(const Op& op, const PlanTask&, double* size) override {
    *size = op.size;
    return absl::OkStatus();
  }
};

// Nanoseconds a task that recording spans adds to a step of empty tasks.
double SpanNanos(const StepGraph& graph, const Plan& plan) {
  StreamSet streams;
  EmptyProgram program;
  Executor executor(RankId{0}, streams, program, MonotonicClock(), [](const absl::Status&) {});
  const absl::Status installed = executor.Install(std::make_shared<const StepGraph>(graph),
                                                  std::make_shared<const Plan>(plan));
  WEFT_CHECK(installed.ok(), "the plan is of this graph");
  std::array<double, kRounds> with, without;
  for (size_t round = 0; round < kRounds; ++round) {
    const auto step = [&executor](bool spans) {
      return NanosOf([&] { WEFT_CHECK(executor.RunStep(0, spans).ok(), "empty tasks succeed"); });
    };
    with[round] = step(true);
    without[round] = step(false);
  }
  return (MedianOf(with) - MedianOf(without)) / kTasks;
}

void Run() {
  const StepGraph graph = MakeGraph();
  const Plan plan = MakePlan(graph);
  const Topology topology{kRanks, 2};
  const Layout layout{1, kRanks, 1};
  const StepSpans spans = MakeSpans();
  absl::StatusOr<MergedStep> merged;
  const double merge = MedianNanos([&] {
    merged = MergeStep({graph, plan, topology, layout}, spans);
  });
  WEFT_CHECK(merged.ok(), "the spans are of this plan");

  OnlineCosts costs(ProfileTable{});
  int64_t step = 0;
  const double update = MedianNanos([&] { costs.Record(step++, merged->samples); });
  ProfileTable table;
  const double refresh = MedianNanos([&] { table = costs.Refresh(); });

  std::printf(
      "{\"ranks\":%d,\"tasks\":%d,\"spans_ns_per_task\":%.1f,\"merge_step_us\":%.1f,"
      "\"update_costs_us\":%.1f,\"refresh_us\":%.1f,\"samples\":%zu,\"keys\":%zu}\n",
      kRanks, kTasks, SpanNanos(graph, plan), merge / 1e3, update / 1e3, refresh / 1e3,
      merged->samples.size(), table.entries.size());
}

}  // namespace
}  // namespace weft

int main() {
  weft::Run();
  return 0;
}
