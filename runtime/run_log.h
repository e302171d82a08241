#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "profiler/overlap.h"
#include "profiler/sinks/metrics_jsonl.h"
#include "profiler/sinks/progress_line.h"
#include "runtime/coordination.h"
#include "runtime/run_directory.h"
#include "runtime/summary.h"

namespace weft {

// What rank 0 says about a running job, in one place: the progress line on stderr, metrics.jsonl,
// and what `weft status` shows. Also keeps what the summary is made of. On other ranks nothing is
// written.
class RunLog {
 public:
  static absl::StatusOr<std::unique_ptr<RunLog>> Open(const RunDirectory& run,
                                                      Coordination& coordination, int32_t rank,
                                                      const JobStatus& start, int32_t log_every);

  struct StepFacts {
    int64_t step = 0;
    double loss = 0;  // nats per token
    double balance = 0;
    double gradient_norm = 0;
    double learning_rate = 0;
    double step_seconds = 0;
    double predicted_seconds = 0;
    int64_t plan_epoch = 0;
    int64_t tokens = 0;         // of the step, all ranks
    std::string_view workload;  // of forced routing; empty: learned
    const StepOverlap* overlap =
        nullptr;  // set when this step's spans were gathered: mean over ranks
  };
  absl::Status Step(const StepFacts& facts);
  absl::Status Validation(int64_t step, double bits_per_byte);
  void Phase(const std::string& phase);
  void Checkpoint(int64_t step);
  // A line for a person, between progress lines; on rank 0 only.
  void Say(const std::string& line);

  void FillSummary(JobSummary& summary) const;

 private:
  RunLog(Coordination& coordination, int32_t rank, const JobStatus& start, int32_t log_every);

  Coordination& coordination_;
  bool writes_;
  JobStatus status_;
  std::unique_ptr<MetricsJsonl> metrics_;
  std::unique_ptr<ProgressLine> line_;
  std::vector<double> measured_, predicted_;  // of the steps of the newest epoch
  std::vector<StepOverlap> overlaps_;
  int64_t tokens_per_step_ = 0;
};

}  // namespace weft
