#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "graph/fixed_plan.h"
#include "profiler/sample.h"
#include "runtime/worker.h"

namespace weft {

// A model of one dense-to-MoE period, which has every kind of operation, at the job's widths and
// batch, with parameters and communicators of its own and tokens that nobody wrote: what is
// measured before a job begins runs its steps.
class CalibrationBlock {
 public:
  // COLLECTIVE over the world. `options`: the job's. Both others outlive the block.
  static absl::StatusOr<std::unique_ptr<CalibrationBlock>> Connect(Backend& backend,
                                                                   Kernels& kernels,
                                                                   WorkerOptions options);

  const StepGraph& graph() const { return *worker_->graph(StepKind::kTraining); }

  // COLLECTIVE. One step of training under such a plan: its samples, the same on all ranks.
  absl::StatusOr<std::vector<KeyedSample>> Measure(const FixedPlanOptions& plan);

 private:
  CalibrationBlock(std::unique_ptr<Worker> worker, const WorkerOptions& options);

  std::unique_ptr<Worker> worker_;
  std::vector<int32_t> tokens_, labels_;
};

// COLLECTIVE over the worker's ranks: the samples of a step that has run, the same on all.
absl::StatusOr<std::vector<KeyedSample>> GatherSamples(Worker& worker, const StepGraph& graph,
                                                       const Plan& plan, const StepReport& report);

}  // namespace weft
