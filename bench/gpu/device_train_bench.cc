// Training on one CUDA device: steps of a Mixtral-style model in bf16 (or fp32), by ranks that are
// threads and share it. Prints one JSON object: tokens/s and share of a peak (one rank is the
// figure to quote; several compete), the time of every kind of operation by the device's clock, and
// how much of what ranks exchange runs beside computation.
//
//   device_train_bench [name=value ...]      names and defaults: see Settings

#include <algorithm>
#include <mutex>
#include <thread>

#include "base/status_macros.h"
#include "bench/settings.h"
#include "bench/synthetic_job.h"
#include "comm/inproc/inproc_world.h"
#include "comm/staged/staged_backend.h"
#include "graph/fixed_plan.h"
#include "models/memory_estimate.h"
#include "models/op_sizes.h"
#include "profiler/instances.h"
#include "profiler/overlap.h"
#include "runtime/statistics.h"
#include "runtime/worker.h"

namespace weft {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kPeakFlops = 790e12;       // bf16 products of one H100, measured
constexpr double kDatasheetFlops = 989e12;  // as peers quote it

// configs/h100_1gpu.yaml's model; settings of 0 are off.
Settings DefaultSettings() {
  return {{"layers", 12},   {"hidden", 2048}, {"ffn", 1024},        {"heads", 16},
          {"kv_heads", 4},  {"vocab", 256},   {"experts", 32},      {"top_k", 4},
          {"sequences", 2}, {"length", 2048}, {"micro_batches", 4}, {"steps", 10},
          {"warmup", 3},    {"ranks", 1},     {"degree", 1},        {"fp32", 0}};
}

WorkerOptions OptionsOf(const Settings& s, ComputeDevice& device) {
  WorkerOptions options;
  options.model = ModelOf(s);
  options.model.precision = s.at("fp32") != 0 ? Precision::kFp32 : Precision::kBf16;
  const int32_t ranks = s.at("ranks");
  options.topology = {ranks, 1};  // as if a node each: all exchanges between them
  options.layout = {1, ranks, 1};
  options.batch = {s.at("sequences"), s.at("length"), s.at("micro_batches"),
                   int64_t{s.at("sequences")} * s.at("micro_batches") * ranks};
  options.compute.device = &device;
  options.deadline = absl::Seconds(120);
  options.seed = 1;
  return options;
}

// What all ranks write.
struct Measured {
  std::mutex mutex;
  std::vector<double> seconds, losses;  // rank 0's
  std::shared_ptr<const Plan> plan;
  std::shared_ptr<const StepGraph> graph;
  StepSpans spans;  // of the last step
};

absl::Status RunRank(Backend& host, ComputeDevice& device, const Settings& settings,
                     const WorkerOptions& options, Measured& measured) {
  const std::unique_ptr<Kernels> kernels = device.MakeKernels();
  StagedBackend backend(host, kernels->memory(), device.staging_memory());
  WEFT_ASSIGN_OR_RETURN(const std::unique_ptr<Worker> worker,
                        Worker::Connect(backend, *kernels, options));
  const std::shared_ptr<const StepGraph> graph = worker->graph(StepKind::kTraining);
  const int32_t degree = settings.at("degree");
  const auto plan =
      std::make_shared<const Plan>(MakeFixedPlan(*graph, {.forward = degree, .backward = degree}));
  WEFT_RETURN_IF_ERROR(worker->Install(StepKind::kTraining, plan));
  SyntheticTokens drawn(static_cast<uint64_t>(host.rank()), options.model.vocab_size,
                        options.batch.tokens() * options.batch.micro_batches);
  const int64_t warmup = settings.at("warmup"), steps = warmup + settings.at("steps");
  for (int64_t step = 0; step < steps; ++step) {
    drawn.Draw(step);
    Worker::StepArgs args;
    args.step = step;
    args.tokens = drawn.tokens();
    args.labels = drawn.labels();
    args.update = step + 1;
    args.learning_rate = 1e-4;
    args.record_spans = step + 1 == steps;
    WEFT_ASSIGN_OR_RETURN(const StepReport report, worker->RunStep(StepKind::kTraining, args));
    const std::lock_guard<std::mutex> lock(measured.mutex);
    if (args.record_spans) measured.spans.by_rank[static_cast<size_t>(host.rank())] = report.spans;
    if (host.rank() != 0) continue;
    measured.spans.step = step;
    measured.plan = plan;
    measured.graph = graph;
    if (step >= warmup && !args.record_spans) measured.seconds.push_back(report.seconds);
    measured.losses.push_back(worker->totals(StepKind::kTraining).cross_entropy);
  }
  return absl::OkStatus();
}

absl::StatusOr<Json> Measure(const Settings& settings) {
  WEFT_ASSIGN_OR_RETURN(const std::unique_ptr<ComputeDevice> device, MakeCudaDevice(0));
  const WorkerOptions options = OptionsOf(settings, *device);
  const int32_t ranks = settings.at("ranks");
  if (settings.at("steps") < 2)
    return absl::InvalidArgumentError("steps: at least 2, the last of which is traced");
  WEFT_RETURN_IF_ERROR(
      ValidateLayout(options.topology, options.layout, options.model.moe.num_experts));
  const auto world = InprocWorld::Make(ranks);
  Measured measured;
  measured.spans.by_rank.resize(static_cast<size_t>(ranks));
  std::vector<absl::Status> statuses(static_cast<size_t>(ranks));
  std::vector<std::thread> threads;
  threads.reserve(static_cast<size_t>(ranks));
  for (int32_t r = 0; r < ranks; ++r) {
    threads.emplace_back([&, r] {
      const std::unique_ptr<Backend> backend = world->MakeBackend(RankId{r});
      absl::Status& status = statuses[static_cast<size_t>(r)];
      status = RunRank(*backend, *device, settings, options, measured);
      if (!status.ok()) world->Abort(status);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const absl::Status& status : statuses) WEFT_RETURN_IF_ERROR(status);

  WEFT_ASSIGN_OR_RETURN(const MergedStep merged, MergeStep({*measured.graph, *measured.plan,
                                                            options.topology, options.layout},
                                                           measured.spans));
  std::vector<StepOverlap> overlaps;
  for (const auto& tasks : merged.by_rank) overlaps.push_back(OverlapOf(tasks));
  const StepOverlap overlap = MeanOverlap(overlaps);
  const double median = Median(measured.seconds);
  const double flops = StepFlops(options.model, options.batch);
  const MemoryEstimate memory =
      EstimateMemory(options.model, options.topology, options.layout, options.batch, RankId{0});
  return Json{{"device", device->description()},
              {"settings", settings},
              {"parameters", CountParameters(options.model)},
              {"active_parameters", CountActiveParameters(options.model)},
              {"tokens_per_step", options.batch.global_tokens()},
              {"step_flops", flops},
              {"seconds", measured.seconds},
              {"tokens_per_second", static_cast<double>(options.batch.global_tokens()) / median},
              {"mfu_of_790", flops / median / kPeakFlops},
              {"mfu_of_989", flops / median / kDatasheetFlops},
              {"first_loss", measured.losses.front()},
              {"last_loss", measured.losses.back()},
              {"estimated_bytes", memory.total()},
              {"overlap_share", overlap.overlap_fraction()},
              {"hidden_seconds", overlap.hidden},
              {"exposed_seconds", overlap.exposed},
              {"operation_seconds", SecondsByOperation(*measured.graph, *measured.plan,
                                                       measured.spans.by_rank.front())}};
}

}  // namespace
}  // namespace weft

int main(int argc, char** argv) {
  return weft::RunBenchmark(argc, argv, weft::DefaultSettings(), weft::Measure);
}
