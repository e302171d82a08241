#include "runtime/calibrate.h"

#include <unistd.h>

#include <algorithm>
#include <thread>

#include "absl/strings/str_cat.h"
#include "base/fingerprint.h"
#include "base/status_macros.h"
#include "graph/fixed_plan.h"
#include "models/moe/ep_shape.h"
#include "profiler/contention.h"
#include "profiler/linear_fit.h"
#include "runtime/broadcast.h"
#include "runtime/calibration_block.h"
#include "runtime/comm_calibration.h"
#include "scheduler/analytic_cost_model.h"
#include "scheduler/measured_cost_model.h"

namespace weft {
namespace {

constexpr int32_t kLeastRounds = 3;
constexpr int32_t kMostRounds = 40;
constexpr int32_t kWarmUpRounds = 2;  // of training steps: blocks whole, and cut
constexpr int32_t kDegrees[] = {1, 2, 4, 8};
constexpr int32_t kOverlappedDegrees[] = {2, 4};

double SecondsSince(int64_t begin) {
  return static_cast<double>(MonotonicClock().NowNanos() - begin) * 1e-9;
}

absl::StatusOr<int32_t> MeasureCommunication(Worker& worker, double budget_seconds,
                                             ProfileTable& table) {
  const auto graph =
      std::make_shared<const StepGraph>(BuildCommCalibration(*worker.graph(StepKind::kTraining)));
  if (graph->ops.empty()) return 0;
  const WorkerOptions& options = worker.options();
  CommCalibration program(worker.groups(), EpShape(options.topology, options.layout, worker.rank()),
                          worker.kernels().memory());
  Executor executor(
      worker.rank(), worker.streams(), program, MonotonicClock(),
      [&worker](const absl::Status& cause) { worker.Abort(cause); }, worker.groups().rules());
  const auto plan = std::make_shared<const Plan>(MakeFixedPlan(*graph, {}));
  WEFT_RETURN_IF_ERROR(executor.Install(graph, plan));
  WEFT_ASSIGN_OR_RETURN(const StepReport warm_up, executor.RunStep(0));
  WEFT_ASSIGN_OR_RETURN(const double once, AgreeOnMax(*worker.groups().control, warm_up.seconds));
  const auto rounds = std::clamp(static_cast<int32_t>(budget_seconds / std::max(once, 1e-6)),
                                 kLeastRounds, kMostRounds);
  for (int32_t round = 1; round <= rounds; ++round) {
    WEFT_ASSIGN_OR_RETURN(const StepReport report, executor.RunStep(round));
    WEFT_ASSIGN_OR_RETURN(const std::vector<KeyedSample> samples,
                          GatherSamples(worker, *graph, *plan, report));
    AddSamples(samples, table);
  }
  return rounds;
}

// Steps task after task give the costs that the table files. Steps that overlap show what that
// adds: their samples, of the measured rounds, are returned.
absl::StatusOr<std::vector<KeyedSample>> MeasureComputation(Backend& backend, Worker& worker,
                                                            double budget_seconds,
                                                            ProfileTable& table) {
  WEFT_ASSIGN_OR_RETURN(const std::unique_ptr<CalibrationBlock> block,
                        CalibrationBlock::Connect(backend, worker.kernels(), worker.options()));
  // Every other round cuts what stands beside the pipelines, too: pieces of every size are
  // measured.
  const auto measure = [&](int32_t round, int32_t degree, int32_t streams) {
    return block->Measure(
        {.forward = degree, .backward = degree, .streams = streams, .cut_blocks = round % 2 == 1});
  };
  const std::vector<Op>& ops = block->graph().ops;
  const bool communicates = std::any_of(
      ops.begin(), ops.end(), [](const Op& op) { return op.stream != StreamKind::kCompute; });
  std::vector<KeyedSample> overlapped;
  const int64_t begin = MonotonicClock().NowNanos();
  bool more = true;
  for (int32_t round = 0; more; ++round) {
    const bool warm = round >= kWarmUpRounds;
    for (const int32_t degree : kDegrees) {
      WEFT_ASSIGN_OR_RETURN(const std::vector<KeyedSample> samples, measure(round, degree, 1));
      if (warm) AddSamples(samples, table);
    }
    for (const int32_t degree : kOverlappedDegrees) {
      if (!warm || !communicates) continue;
      WEFT_ASSIGN_OR_RETURN(const std::vector<KeyedSample> samples,
                            measure(round, degree, kNumStreams));
      overlapped.insert(overlapped.end(), samples.begin(), samples.end());
    }
    WEFT_ASSIGN_OR_RETURN(const double spent,
                          AgreeOnMax(*worker.groups().control, SecondsSince(begin)));
    const int32_t measured = round + 1 - kWarmUpRounds;
    more = measured < kLeastRounds || (measured < kMostRounds && spent < budget_seconds);
  }
  return overlapped;
}

// What overlap added to these samples, by what the table says that they cost alone.
Contention ContentionOf(const ProfileTable& table, const std::vector<KeyedSample>& overlapped) {
  const MeasuredCostModel alone(table, std::make_shared<AnalyticCostModel>(MachineSpeeds{}));
  std::vector<BesideSample> samples;
  for (const KeyedSample& keyed : overlapped) {
    const CostEstimate estimate = alone.Estimate(keyed.key, keyed.sample.size);
    if (!estimate.measured) continue;
    samples.push_back({keyed.stream, estimate.seconds, keyed.sample.seconds, keyed.beside});
  }
  return FitContention(samples);
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
  WEFT_ASSIGN_OR_RETURN(const std::vector<KeyedSample> overlapped,
                        MeasureComputation(backend, worker, left, calibration.table));
  FitTable(calibration.table);
  calibration.table.contention = ContentionOf(calibration.table, overlapped);
  calibration.seconds = SecondsSince(begin);
  return calibration;
}

uint64_t MachineFingerprint(const Topology& topology, const Layout& layout,
                            const std::string& emulation) {
  char host[256] = {};
  gethostname(host, sizeof(host) - 1);
  std::string degrees = absl::StrCat(layout.edp, ".", layout.ep, ".", layout.esp);
  if (layout.mp > 1) absl::StrAppend(&degrees, ".", layout.mp);
  if (layout.zero_stage > 0) absl::StrAppend(&degrees, ".zero", layout.zero_stage);
  return Fingerprint(absl::StrCat(host, "/", std::thread::hardware_concurrency(), "/",
                                  topology.world_size, "x", topology.ranks_per_node, "/", degrees,
                                  "/", emulation));
}

}  // namespace weft
