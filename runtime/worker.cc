#include "runtime/worker.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"

namespace weft {
namespace {

absl::Status CheckSmLimit(const Backend& backend, int32_t limit) {
  const std::vector<int32_t> limits = backend.sm_limits();
  if (limit == 0 || std::find(limits.begin(), limits.end(), limit) != limits.end())
    return absl::OkStatus();
  const std::string what = limits.empty()
                               ? "cannot be limited to a number of"
                               : absl::StrCat("can be limited to ", absl::StrJoin(limits, ", "));
  return absl::FailedPreconditionError(
      absl::StrCat("plan: sm_limit ", limit, ": collectives here ", what, " multiprocessors"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Worker>> Worker::Connect(Backend& backend, Kernels& kernels,
                                                        const WorkerOptions& options) {
  WEFT_RETURN_IF_ERROR(
      ValidateLayout(options.topology, options.layout, options.model.moe.num_experts));
  WEFT_RETURN_IF_ERROR(ValidateHeads(options.model, options.layout));
  WEFT_ASSIGN_OR_RETURN(Groups groups,
                        ConnectGroups(backend, options.topology, options.layout, options.deadline));
  return std::unique_ptr<Worker>(new Worker(backend, kernels, options, std::move(groups)));
}

Worker::Worker(Backend& backend, Kernels& kernels, const WorkerOptions& options, Groups groups)
    : backend_(backend),
      kernels_(kernels),
      options_(options),
      rank_{backend.rank()},
      groups_(std::move(groups)),
      parameters_(options.model, options.layout, rank_, options.seed, kernels.memory()),
      streams_(options.compute) {
  const ComputeDevice* const device = options_.compute.device;
  options_.batch.whole_sequences = device != nullptr &&
                                   options_.model.precision == Precision::kBf16 &&
                                   device->attention_in_whole_sequences();
  parameters_.Round(kernels_);
  if (options_.layout.zero_stage > 0)
    sharded_.emplace(options_.topology, options_.layout, rank_, groups_, parameters_,
                     kernels_.memory());
  ModelContext context;
  context.spec = options_.model;
  context.topology = options_.topology;
  context.layout = options_.layout;
  context.rank = rank_;
  context.batch = options_.batch;
  context.seed = options_.seed;
  context.kernels = &kernels_;
  context.ep = groups_.ep.get();
  context.esp = groups_.esp.get();
  context.mp = groups_.mp.get();
  for (const auto& [size, group] : groups_.esp_near) context.esp_near[size] = group.get();
  for (const auto& [size, group] : groups_.esp_far) context.esp_far[size] = group.get();
  context.ep_node = groups_.ep_node.get();
  context.ep_peers = groups_.ep_peers.get();
  model_ = std::make_unique<Transformer>(context, parameters_);
  const auto on_failure = [this](const absl::Status& cause) { Abort(cause); };
  home_moves_ =
      std::make_unique<HomeMoves>(HomeMoves::Args{options_.model, options_.layout, rank_, &groups_,
                                                  &parameters_, &kernels_, &streams_, on_failure});
  for (const StepKind kind : {StepKind::kTraining, StepKind::kForward}) {
    Part& made = kind == StepKind::kTraining ? training_ : validation_;
    made.graph = std::make_shared<const StepGraph>(
        BuildStepGraph(options_.model, options_.topology, options_.layout, options_.batch, kind));
    TrainProgram::Args args;
    args.model = model_.get();
    args.parameters = &parameters_;
    args.groups = &groups_;
    args.sharded = sharded_.has_value() ? &*sharded_ : nullptr;
    args.kernels = &kernels_;
    args.topology = options_.topology;
    args.layout = options_.layout;
    args.rank = rank_;
    args.batch = options_.batch;
    args.optimizer = options_.optimizer;
    args.workload = options_.model.moe.workload;
    args.kind = kind;
    if (kind == StepKind::kForward)
      args.batch.global_sequences = options_.batch.sequences * options_.topology.world_size;
    made.program = std::make_unique<TrainProgram>(args);
    made.executor = std::make_unique<Executor>(rank_, streams_, *made.program, MonotonicClock(),
                                               on_failure, groups_.rules());
  }
}

absl::Status Worker::Install(StepKind kind, const std::shared_ptr<const Plan>& plan) {
  const Part& target = part(kind);
  if (kind == StepKind::kTraining) WEFT_RETURN_IF_ERROR(CheckSmLimit(backend_, plan->sm_limit));
  WEFT_RETURN_IF_ERROR(target.executor->Install(target.graph, plan));
  if (kind != StepKind::kTraining) return absl::OkStatus();
  backend_.LimitSms(plan->sm_limit);
  return home_moves_->MoveTo(plan->placements.homes);
}

absl::StatusOr<StepReport> Worker::RunStep(StepKind kind, const StepArgs& args) {
  const Part& target = part(kind);
  target.program->Begin(args);
  return target.executor->RunStep(args.step, args.record_spans);
}

}  // namespace weft
