#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "comm/backend.h"
#include "models/parameters.h"
#include "models/transformer/transformer.h"
#include "runtime/executor.h"
#include "runtime/groups.h"
#include "runtime/home_moves.h"
#include "runtime/sharded_update.h"
#include "runtime/train_program.h"

namespace weft {

struct WorkerOptions {
  ModelSpec model;
  Topology topology;
  Layout layout;
  BatchShape batch;
  OptimizerOptions optimizer;
  uint64_t seed = 0;
  absl::Duration deadline = absl::Seconds(60);
  ComputeOptions compute;
};

// Everything one rank needs to run steps: communicators, parameters, the model, streams, and an
// executor each for training and for validation. It runs what it is told; plans, data and decisions
// come from above (runtime/trainer.h).
class Worker {
 public:
  // COLLECTIVE over the world. `backend` and `kernels` outlive the worker.
  static absl::StatusOr<std::unique_ptr<Worker>> Connect(Backend& backend, Kernels& kernels,
                                                         const WorkerOptions& options);

  const WorkerOptions& options() const { return options_; }
  RankId rank() const { return rank_; }
  Parameters& parameters() { return parameters_; }
  Groups& groups() { return groups_; }
  Kernels& kernels() { return kernels_; }
  StreamSet& streams() { return streams_; }
  const Transformer& model() const { return *model_; }
  const std::shared_ptr<const StepGraph>& graph(StepKind kind) const { return part(kind).graph; }
  const std::shared_ptr<const Plan>& plan(StepKind kind) const {
    return part(kind).executor->plan();
  }

  // Between steps. COLLECTIVE where a plan of training lets experts live elsewhere than they do:
  // they move first. Plans of validation leave them where they are, and collectives the
  // multiprocessors that they have. kFailedPrecondition: a limit of these that the backend lacks.
  absl::Status Install(StepKind kind, const std::shared_ptr<const Plan>& plan);
  // Experts live there, and what the parameters hold is already theirs (a checkpoint's).
  void Settle(const std::vector<HomeChoice>& homes) { home_moves_->Settle(homes); }
  // Where experts live, as a plan says it.
  std::vector<HomeChoice> homes() const { return home_moves_->homes(); }

  using StepArgs = TrainProgram::StepArgs;
  // COLLECTIVE. Blocks until the step has ended on this rank.
  absl::StatusOr<StepReport> RunStep(StepKind kind, const StepArgs& args);
  const StepTotals& totals(StepKind kind) const { return part(kind).program->totals(); }
  std::span<const int32_t> expert_counts() const { return training_.program->expert_counts(); }

  // Aborts all communicators: whoever waits gets the cause. Thread-safe.
  void Abort(const absl::Status& cause) { backend_.Abort(cause); }

 private:
  struct Part {
    std::shared_ptr<const StepGraph> graph;
    std::unique_ptr<TrainProgram> program;
    std::unique_ptr<Executor> executor;
  };
  Worker(Backend& backend, Kernels& kernels, const WorkerOptions& options, Groups groups);
  const Part& part(StepKind kind) const {
    return kind == StepKind::kTraining ? training_ : validation_;
  }

  Backend& backend_;
  Kernels& kernels_;
  WorkerOptions options_;
  RankId rank_;
  Groups groups_;
  Parameters parameters_;
  std::optional<ShardedUpdate> sharded_;  // ZeRO-1: of both programs
  std::unique_ptr<Transformer> model_;
  StreamSet streams_;
  std::unique_ptr<HomeMoves> home_moves_;
  Part training_, validation_;
};

}  // namespace weft
