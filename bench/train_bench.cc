// Trains a Mixtral-style model on synthetic tokens on one rank and prints one JSON object: seconds
// of every measured step by the wall and by the processor's clock, the share of each kernel and of
// each kind of operation, the rate of the matrix products. bench/peer_pytorch/train.py is the same
// program in PyTorch, with the same arguments and output; bench/one_rank_vs_pytorch.py runs both.
//
//   train_bench [name=value ...]      names and defaults: see Settings

#include <time.h>

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/clock.h"
#include "base/status_macros.h"
#include "bench/settings.h"
#include "bench/synthetic_job.h"
#include "bench/timed_kernels.h"
#include "comm/inproc/inproc_world.h"
#include "graph/fixed_plan.h"
#include "models/op_sizes.h"
#include "runtime/statistics.h"
#include "runtime/worker.h"

namespace weft {
namespace {

using Json = nlohmann::ordered_json;

Settings DefaultSettings() {
  return {{"layers", 4},    {"hidden", 128}, {"ffn", 256},   {"heads", 4},
          {"kv_heads", 2},  {"vocab", 256},  {"experts", 8}, {"top_k", 2},
          {"sequences", 8}, {"length", 128}, {"steps", 20},  {"warmup", 5}};
}

WorkerOptions OptionsOf(const Settings& s) {
  WorkerOptions options;
  options.model = ModelOf(s);
  options.batch = {s.at("sequences"), s.at("length"), 1, s.at("sequences")};
  options.seed = 1;
  return options;
}

double ProcessSeconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

struct Measured {
  std::vector<double> wall, processor;
  std::map<std::string, double> op_seconds;
  std::vector<double> losses;
};

void AddSpans(const StepGraph& graph, const Plan& plan, const StepReport& report,
              Measured& measured) {
  for (const auto& [operation, seconds] : SecondsByOperation(graph, plan, report.spans))
    measured.op_seconds[operation] += seconds;
}

absl::StatusOr<Json> Measure(const Settings& settings) {
  const WorkerOptions options = OptionsOf(settings);
  const std::unique_ptr<Kernels> cpu = MakeCpuKernels();
  TimedKernels kernels(*cpu);
  const std::unique_ptr<Backend> backend = InprocWorld::Make(1)->MakeBackend(RankId{0});
  WEFT_ASSIGN_OR_RETURN(const std::unique_ptr<Worker> worker,
                        Worker::Connect(*backend, kernels, options));
  const StepGraph& graph = *worker->graph(StepKind::kTraining);
  const auto plan = std::make_shared<const Plan>(MakeFixedPlan(graph, {}));
  WEFT_RETURN_IF_ERROR(worker->Install(StepKind::kTraining, plan));

  SyntheticTokens drawn(2, options.model.vocab_size, options.batch.tokens());
  Measured measured;
  const int64_t warmup = settings.at("warmup");
  for (int64_t step = 0; step < warmup + settings.at("steps"); ++step) {
    if (step == warmup) kernels.Reset();
    drawn.Draw(step);
    Worker::StepArgs args;
    args.step = step;
    args.tokens = drawn.tokens();
    args.labels = drawn.labels();
    args.update = step + 1;
    args.learning_rate = options.optimizer.learning_rate;
    const double processor = ProcessSeconds();
    const int64_t wall = MonotonicClock().NowNanos();
    WEFT_ASSIGN_OR_RETURN(const StepReport report, worker->RunStep(StepKind::kTraining, args));
    if (step < warmup) continue;
    measured.wall.push_back(static_cast<double>(MonotonicClock().NowNanos() - wall) * 1e-9);
    measured.processor.push_back(ProcessSeconds() - processor);
    measured.losses.push_back(worker->totals(StepKind::kTraining).cross_entropy);
    AddSpans(graph, *plan, report, measured);
  }

  const auto kernel_totals = kernels.totals();
  const double gemm_flops = kernels.gemm_flops();

  // What profiling costs: the same step with and without spans, in turn, by the processor's clock.
  std::vector<double> with_spans, without_spans;
  for (int64_t i = 0; i < 2 * settings.at("steps"); ++i) {
    Worker::StepArgs args;
    args.tokens = drawn.tokens();
    args.labels = drawn.labels();
    args.record_spans = i % 2 == 0;
    const double processor = ProcessSeconds();
    WEFT_RETURN_IF_ERROR(worker->RunStep(StepKind::kTraining, args).status());
    (args.record_spans ? with_spans : without_spans).push_back(ProcessSeconds() - processor);
  }

  double all_seconds = 0;
  for (const double seconds : measured.processor) all_seconds += seconds;
  double all_ops = 0;
  for (const auto& [name, seconds] : measured.op_seconds) all_ops += seconds;
  Json kernel_share, op_share;
  for (const auto& [name, total] : kernel_totals) kernel_share[name] = total.seconds / all_seconds;
  for (const auto& [name, seconds] : measured.op_seconds) op_share[name] = seconds / all_ops;
  const double gemm_seconds = kernel_totals.at("Gemm").seconds;
  return Json{{"program", "weft"},
              {"settings", settings},
              {"parameters", CountParameters(options.model)},
              {"tokens_per_step", options.batch.tokens()},
              {"step_flops", StepFlops(options.model, options.batch)},
              {"wall_seconds", measured.wall},
              {"processor_seconds", measured.processor},
              {"loss", measured.losses.back()},
              {"profiling_cost", Median(with_spans) / Median(without_spans) - 1.0},
              {"gemm_share", gemm_seconds / all_seconds},
              {"gemm_gflops", gemm_flops / gemm_seconds * 1e-9},
              {"kernel_share", kernel_share},
              {"op_share", op_share}};
}

}  // namespace
}  // namespace weft

int main(int argc, char** argv) {
  return weft::RunBenchmark(argc, argv, weft::DefaultSettings(), weft::Measure);
}
