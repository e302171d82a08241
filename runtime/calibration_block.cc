#include "runtime/calibration_block.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "base/status_macros.h"
#include "profiler/instances.h"
#include "runtime/span_gather.h"

namespace weft {

absl::StatusOr<std::unique_ptr<CalibrationBlock>> CalibrationBlock::Connect(Backend& backend,
                                                                            Kernels& kernels,
                                                                            WorkerOptions options) {
  options.model.num_layers = options.model.moe.every;
  options.batch.micro_batches = 1;
  WEFT_ASSIGN_OR_RETURN(std::unique_ptr<Worker> worker, Worker::Connect(backend, kernels, options));
  return std::unique_ptr<CalibrationBlock>(new CalibrationBlock(std::move(worker), options));
}

CalibrationBlock::CalibrationBlock(std::unique_ptr<Worker> worker, const WorkerOptions& options)
    : worker_(std::move(worker)) {
  const CounterRng rng(options.seed, absl::StrCat("calibration/", worker_->rank().value));
  const auto count = static_cast<uint64_t>(options.batch.tokens());
  const auto vocabulary = static_cast<uint64_t>(options.model.vocab_size);
  for (uint64_t i = 0; i < count; ++i) {
    tokens_.push_back(static_cast<int32_t>(rng.Bits(i) % vocabulary));
    labels_.push_back(static_cast<int32_t>(rng.Bits(count + i) % vocabulary));
  }
}

absl::StatusOr<std::vector<KeyedSample>> CalibrationBlock::Measure(
    const FixedPlanOptions& options) {
  const auto plan = std::make_shared<const Plan>(MakeFixedPlan(graph(), options));
  WEFT_RETURN_IF_ERROR(worker_->Install(StepKind::kTraining, plan));
  Worker::StepArgs args;
  args.tokens = tokens_;
  args.labels = labels_;
  WEFT_ASSIGN_OR_RETURN(const StepReport report, worker_->RunStep(StepKind::kTraining, args));
  return GatherSamples(*worker_, graph(), *plan, report);
}

absl::StatusOr<std::vector<KeyedSample>> GatherSamples(Worker& worker, const StepGraph& graph,
                                                       const Plan& plan, const StepReport& report) {
  WEFT_ASSIGN_OR_RETURN(const StepSpans spans, GatherSpans(*worker.groups().control, report));
  const WorkerOptions& o = worker.options();
  WEFT_ASSIGN_OR_RETURN(MergedStep merged, MergeStep({graph, plan, o.topology, o.layout}, spans));
  return std::move(merged.samples);
}

}  // namespace weft
