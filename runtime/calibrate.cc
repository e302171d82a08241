#include "runtime/calibrate.h"

#include <unistd.h>

#include <algorithm>
#include <thread>

#include "absl/strings/str_cat.h"
#include "base/fingerprint.h"
#include "base/random.h"
#include "base/status_macros.h"
#include "graph/fixed_plan.h"
#include "models/moe/ep_shape.h"
#include "profiler/instances.h"
#include "profiler/linear_fit.h"
#include "runtime/broadcast.h"
#include "runtime/comm_calibration.h"
#include "runtime/span_gather.h"

namespace weft {
namespace {

constexpr int32_t kLeastRounds = 3;
constexpr int32_t kMostRounds = 40;
constexpr int32_t kDegrees[] = {1, 2, 4, 8};

double SecondsSince(int64_t begin) {
  return static_cast<double>(MonotonicClock().NowNanos() - begin) * 1e-9;
}

// Files the spans of one calibration step in the table.
absl::Status Collect(Worker& worker, const StepGraph& graph, const Plan& plan,
                     const StepReport& report, ProfileTable& table) {
  WEFT_ASSIGN_OR_RETURN(const StepSpans spans, GatherSpans(*worker.groups().control, report));
  const WorkerOptions& o = worker.options();
  WEFT_ASSIGN_OR_RETURN(const MergedStep merged,
                        MergeStep({graph, plan, o.topology, o.layout}, spans));
  AddSamples(merged.samples, table);
  return absl::OkStatus();
}

absl::StatusOr<int32_t> MeasureCommunication(Worker& worker, double budget_seconds,
                                             ProfileTable& table) {
  const auto graph =
      std::make_shared<const StepGraph>(BuildCommCalibration(*worker.graph(StepKind::kTraining)));
  if (graph->ops.empty()) return 0;
  const WorkerOptions& options = worker.options();
  CommCalibration program(worker.groups(),
                          EpShape(options.topology, options.layout, worker.rank()));
  Executor executor(worker.rank(), worker.streams(), program, MonotonicClock(),
                    [&worker](const absl::Status& cause) { worker.Abort(cause); });
  const auto plan = std::make_shared<const Plan>(MakeFixedPlan(*graph, {}));
  WEFT_RETURN_IF_ERROR(executor.Install(graph, plan));
  WEFT_ASSIGN_OR_RETURN(const StepReport warm_up, executor.RunStep(0));
  WEFT_ASSIGN_OR_RETURN(const double once, AgreeOnMax(*worker.groups().control, warm_up.seconds));
  const auto rounds = std::clamp(static_cast<int32_t>(budget_seconds / std::max(once, 1e-6)),
                                 kLeastRounds, kMostRounds);
  for (int32_t round = 1; round <= rounds; ++round) {
    WEFT_ASSIGN_OR_RETURN(const StepReport report, executor.RunStep(round));
    WEFT_RETURN_IF_ERROR(Collect(worker, *graph, *plan, report, table));
  }
  return rounds;
}

absl::Status MeasureComputation(Backend& backend, Worker& worker, double budget_seconds,
                                ProfileTable& table) {
  WorkerOptions options = worker.options();
  options.model.num_layers =
      options.model.moe.every;  // one dense-to-MoE period: every kind of operation
  options.batch.micro_batches = 1;
  WEFT_ASSIGN_OR_RETURN(const std::unique_ptr<Worker> block,
                        Worker::Connect(backend, worker.kernels(), options));
  const CounterRng rng(options.seed, absl::StrCat("calibration/", worker.rank().value));
  const auto count = static_cast<size_t>(options.batch.tokens());
  std::vector<int32_t> tokens(count);
  std::vector<int32_t> labels(count);
  for (size_t i = 0; i < count; ++i) {
    tokens[i] = static_cast<int32_t>(rng.Bits(i) % static_cast<uint64_t>(options.model.vocab_size));
    labels[i] =
        static_cast<int32_t>(rng.Bits(count + i) % static_cast<uint64_t>(options.model.vocab_size));
  }
  Worker::StepArgs args;
  args.tokens = tokens;
  args.labels = labels;
  const int64_t begin = MonotonicClock().NowNanos();
  bool more = true;
  for (int32_t round = 0; more; ++round) {
    for (const int32_t degree : kDegrees) {
      const StepGraph& graph = *block->graph(StepKind::kTraining);
      const auto plan = std::make_shared<const Plan>(
          MakeFixedPlan(graph, {.forward = degree, .backward = degree, .streams = 1}));
      WEFT_RETURN_IF_ERROR(block->Install(StepKind::kTraining, plan));
      WEFT_ASSIGN_OR_RETURN(const StepReport report, block->RunStep(StepKind::kTraining, args));
      if (round > 0)
        WEFT_RETURN_IF_ERROR(
            Collect(worker, graph, *plan, report, table));  // the first round warms up
    }
    WEFT_ASSIGN_OR_RETURN(const double spent,
                          AgreeOnMax(*worker.groups().control, SecondsSince(begin)));
    more = round < kLeastRounds || (round < kMostRounds && spent < budget_seconds);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Calibration> Calibrate(Backend& backend, Worker& worker, double budget_seconds) {
  const int64_t begin = MonotonicClock().NowNanos();
  Calibration calibration;
  WEFT_ASSIGN_OR_RETURN(calibration.rounds,
                        MeasureCommunication(worker, budget_seconds * 0.5, calibration.table));
  // What is left decides how many rounds follow: all ranks must see the same.
  WEFT_ASSIGN_OR_RETURN(const double spent,
                        AgreeOnMax(*worker.groups().control, SecondsSince(begin)));
  const double left = std::max(0.0, budget_seconds - spent);
  WEFT_RETURN_IF_ERROR(MeasureComputation(backend, worker, left, calibration.table));
  FitTable(calibration.table);
  calibration.seconds = SecondsSince(begin);
  return calibration;
}

uint64_t MachineFingerprint(const Topology& topology, const Layout& layout,
                            const std::string& emulation) {
  char host[256] = {};
  gethostname(host, sizeof(host) - 1);
  return Fingerprint(absl::StrCat(host, "/", std::thread::hardware_concurrency(), "/",
                                  topology.world_size, "x", topology.ranks_per_node, "/",
                                  layout.edp, ".", layout.ep, ".", layout.esp, "/", emulation));
}

}  // namespace weft
