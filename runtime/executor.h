#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/ids.h"
#include "graph/plan.h"
#include "graph/span.h"
#include "runtime/emulated_processor.h"
#include "runtime/issue_turns.h"
#include "runtime/step_program.h"
#include "tensor/kernels/compute_device.h"

namespace weft {

// Where a rank computes.
struct ComputeOptions {
  ComputeDevice* device = nullptr;  // null: the CPU
  double share = 1;                 // of the processor's speed (runtime/emulated_processor.h)
  std::vector<int32_t> processors;  // that computations keep to; empty: those of the process
};

// The three streams of a rank, shared by its executors.
struct StreamSet {
  explicit StreamSet(const ComputeOptions& compute = {});
  std::array<std::unique_ptr<Stream>, kNumStreams> streams;  // by StreamKind
  std::unique_ptr<EmulatedProcessor> processor;  // of the compute stream; null at full speed
  Stream& operator[](StreamKind kind) { return *streams[static_cast<size_t>(kind)]; }
};

// What the communicators of a step's collectives ask for.
struct CollectiveRules {
  // Collectives are issued in the order of the plan, over all streams, and so in one order on all
  // ranks: where they are only enqueued, one may hold up the next on the device. Where a collective
  // has ended when its call returns, each stream's own order does.
  bool in_plan_order = false;
  // Of all of them, when a step has ended: what failed after its task had returned shows only here.
  // Null: nothing can.
  std::function<absl::Status()> health = nullptr;
};

struct StepReport {
  int64_t step = 0;
  int64_t epoch = 0;
  double seconds = 0;       // from the first launch to the last end on this rank
  std::vector<Span> spans;  // [plan task]
};

// Runs a step graph as a plan says: tasks go to their streams in the plan's order, events between
// streams are the only waits, every task leaves a span. Install cuts and orders; RunStep only
// enqueues. Called from one host thread.
class Executor {
 public:
  // on_failure is called once with the first error of a step, from a stream's thread or, where the
  // device or Health had it, from RunStep, so that it can abort the communicators: whoever waits on
  // another stream or rank then gets out.
  Executor(RankId rank, StreamSet& streams, StepProgram& program, const Clock& clock,
           std::function<void(const absl::Status&)> on_failure, CollectiveRules rules = {});

  // Step boundary only. Validates the plan against the graph, prepares the program, then swaps:
  // after an error the installed plan is still the old one.
  absl::Status Install(std::shared_ptr<const StepGraph> graph, std::shared_ptr<const Plan> plan);
  const std::shared_ptr<const Plan>& plan() const { return plan_; }
  const StepGraph& graph() const { return *graph_; }

  // Blocks until every task has ended. REQUIRES: a plan is installed. Errors say the step, epoch,
  // task and rank. With record_spans false no clock is read and no span is written (for measuring
  // what profiling costs), unless a processor is emulated.
  absl::StatusOr<StepReport> RunStep(int64_t step, bool record_spans = true);

 private:
  absl::Status RunTask(size_t index, bool record_spans, IssueTurns::Turn* turn);
  // Blocks until all streams are empty.
  absl::Status Synchronize();
  // "step 12, epoch 3, TASK, rank 5" in front; without a task when that is not known.
  absl::Status Explained(const absl::Status& status, const PlanTask* task = nullptr) const;
  // The first of a step: lets everybody go.
  void Failed(const absl::Status& explained);
  // When the tasks that this one waits for had ended, of those that left spans.
  int64_t ReadyNanos(size_t index) const;

  // What must be launched for one task, worked out by Install.
  struct Launch {
    Stream* stream = nullptr;
    std::vector<int32_t> awaited;  // tasks of other streams whose events this one waits for
    bool recorded = false;         // somebody waits for this one
    std::string name;              // of the task, for profilers of the device
  };

  RankId rank_;
  StreamSet& streams_;
  StepProgram& program_;
  const Clock& clock_;
  std::function<void(const absl::Status&)> on_failure_;
  const CollectiveRules rules_;
  IssueTurns turns_;
  std::shared_ptr<const StepGraph> graph_;
  std::shared_ptr<const Plan> plan_;
  std::vector<Launch> launches_;
  std::vector<std::shared_ptr<Event>> events_;
  std::vector<Span> spans_;
  std::atomic<bool> failed_{false};
  int64_t step_ = 0;
  int64_t step_begin_nanos_ = 0;
};

}  // namespace weft
