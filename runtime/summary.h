#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/comparison.h"
#include "runtime/considered_plans.h"
#include "runtime/plan_history.h"
#include "runtime/plan_memory.h"
#include "runtime/workload_comparison.h"

namespace weft {

// How a run ended: summary.json, and what the last lines on the screen say. Times are seconds;
// medians over the steps of the last plan epoch.
struct JobSummary {
  double val_bits_per_byte = 0;
  double unigram_bits_per_byte = 0;
  double bigram_bits_per_byte = 0;
  int64_t steps = 0;
  double tokens_per_second = 0;
  double predicted_step_seconds = 0;  // what was predicted before each step ran
  double measured_step_seconds = 0;
  double overlap_fraction =
      0;  // inter-node transfer time beside compute / inter-node transfer time
  double hidden_communication_seconds = 0;  // per step, mean over ranks
  double exposed_communication_seconds = 0;
  std::vector<ComparedPolicy> comparison;   // as run.compare named them; empty: not compared
  std::string workload;                     // of forced routing; empty: learned
  std::vector<ComparedWorkload> workloads;  // as run.compare_workloads named them
  int64_t plan_epoch = 0;
  std::vector<PlanSwitch> plan_switches;  // those that ran long enough to be judged
  std::vector<PlanMemory::Entry> plans_by_load;
  std::vector<ConsideredPlan> considered;  // by the newest search
  int32_t world_size = 1;
  int64_t workspace_growths = 0;  // buffers that grew after the first ten steps, all ranks together
  bool stopped = false;           // ended early on request, with a checkpoint
  int32_t exit_code = 0;
};

std::string SummaryToJson(const JobSummary& summary);

}  // namespace weft
