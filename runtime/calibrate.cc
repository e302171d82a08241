#include "runtime/calibrate.h"

#include <unistd.h>

#include <algorithm>
#include <map>
#include <span>
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

// Under this limit of multiprocessors.
absl::StatusOr<int32_t> MeasureCommunication(Backend& backend, Worker& worker, int32_t sm_limit,
                                             double budget_seconds, ProfileTable& table) {
  const auto graph =
      std::make_shared<const StepGraph>(BuildCommCalibration(*worker.graph(StepKind::kTraining)));
  if (graph->ops.empty()) return 0;
  const WorkerOptions& options = worker.options();
  CommCalibration program(worker.groups(), EpShape(options.topology, options.layout, worker.rank()),
                          worker.kernels().memory());
  Executor executor(
      worker.rank(), worker.streams(), program, MonotonicClock(),
      [&worker](const absl::Status& cause) { worker.Abort(cause); }, worker.groups().rules());
  const auto plan = std::make_shared<const Plan>(MakeFixedPlan(*graph, {.sm_limit = sm_limit}));
  backend.LimitSms(sm_limit);
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

// By limit of multiprocessors, 0 for none.
using OverlappedSamples = std::map<int32_t, std::vector<KeyedSample>>;

// Steps task after task give the costs that the table files. Steps that overlap show what that
// adds, under every limit: their samples, of the measured rounds, are returned.
absl::StatusOr<OverlappedSamples> MeasureComputation(Backend& backend, Worker& worker,
                                                     std::span<const int32_t> sm_limits,
                                                     double budget_seconds, ProfileTable& table) {
  WEFT_ASSIGN_OR_RETURN(const std::unique_ptr<CalibrationBlock> block,
                        CalibrationBlock::Connect(backend, worker.kernels(), worker.options()));
  // Every other round cuts what stands beside the pipelines, too: pieces of every size are
  // measured.
  const auto measure = [&](int32_t round, int32_t degree, int32_t streams, int32_t sm_limit) {
    return block->Measure({.forward = degree,
                           .backward = degree,
                           .streams = streams,
                           .sm_limit = sm_limit,
                           .cut_blocks = round % 2 == 1});
  };
  const std::vector<Op>& ops = block->graph().ops;
  const bool communicates = std::any_of(
      ops.begin(), ops.end(), [](const Op& op) { return op.stream != StreamKind::kCompute; });
  OverlappedSamples overlapped;
  const int64_t begin = MonotonicClock().NowNanos();
  bool more = true;
  for (int32_t round = 0; more; ++round) {
    const bool warm = round >= kWarmUpRounds;
    for (const int32_t degree : kDegrees) {
      WEFT_ASSIGN_OR_RETURN(const std::vector<KeyedSample> samples, measure(round, degree, 1, 0));
      if (warm) AddSamples(samples, table);
    }
    for (const int32_t sm_limit : sm_limits) {
      for (const int32_t degree : kOverlappedDegrees) {
        if (!warm || !communicates) continue;
        WEFT_ASSIGN_OR_RETURN(const std::vector<KeyedSample> samples,
                              measure(round, degree, kNumStreams, sm_limit));
        std::vector<KeyedSample>& all = overlapped[sm_limit];
        all.insert(all.end(), samples.begin(), samples.end());
      }
    }
    WEFT_ASSIGN_OR_RETURN(const double spent,
                          AgreeOnMax(*worker.groups().control, SecondsSince(begin)));
    const int32_t measured = round + 1 - kWarmUpRounds;
    more = measured < kLeastRounds || (measured < kMostRounds && spent < budget_seconds);
  }
  return overlapped;
}

// What overlap added to these samples, by what the table says that they cost alone.
Contention ContentionOf(const ProfileTable& table, int32_t sm_limit,
                        const std::vector<KeyedSample>& overlapped) {
  const MeasuredCostModel alone(table, std::make_shared<AnalyticCostModel>(MachineSpeeds{}),
                                /*min_samples=*/2, sm_limit);
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
  std::vector<int32_t> sm_limits = backend.sm_limits();
  sm_limits.insert(sm_limits.begin(), 0);
  const double of_each = budget_seconds * 0.5 / static_cast<double>(sm_limits.size());
  for (const int32_t sm_limit : sm_limits) {
    WEFT_ASSIGN_OR_RETURN(calibration.rounds, MeasureCommunication(backend, worker, sm_limit,
                                                                   of_each, calibration.table));
  }
  // What is left decides how many rounds follow: all ranks must see the same.
  WEFT_ASSIGN_OR_RETURN(const double spent,
                        AgreeOnMax(*worker.groups().control, SecondsSince(begin)));
  const double left = std::max(0.0, budget_seconds - spent);
  WEFT_ASSIGN_OR_RETURN(const OverlappedSamples overlapped,
                        MeasureComputation(backend, worker, sm_limits, left, calibration.table));
  backend.LimitSms(0);
  FitTable(calibration.table);
  for (const auto& [sm_limit, samples] : overlapped) {
    const Contention contention = ContentionOf(calibration.table, sm_limit, samples);
    if (sm_limit == 0) {
      calibration.table.contention = contention;
    } else {
      calibration.table.limited_contention[sm_limit] = contention;
    }
  }
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
