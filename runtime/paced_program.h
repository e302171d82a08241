#pragma once

#include "comm/sim/alarm.h"
#include "runtime/step_program.h"

namespace weft {

// A program on a slower processor: every computation takes its processor time divided by `share`,
// in the span as well, by waiting for the rest. What links are to compute is then what it would be
// beside faster or slower processors, task by task; the kernel's quotas (cgroups) act in periods
// that are longer than a task, and so slow down some tasks and others not. Collectives are left
// alone. Processor time is of the thread that runs the task: products must not use others
// (OMP_NUM_THREADS=1).
class PacedProgram final : public StepProgram {
 public:
  // REQUIRES: 0 < share < 1; `program` outlives this.
  PacedProgram(StepProgram& program, double share) : program_(program), share_(share) {}

  absl::Status Prepare(const StepGraph& graph, const Plan& plan) override {
    return program_.Prepare(graph, plan);
  }
  absl::Status Run(const Op& op, const PlanTask& task, double* size) override;

 private:
  StepProgram& program_;
  const double share_;
  Alarm rest_;  // never rings
};

}  // namespace weft
