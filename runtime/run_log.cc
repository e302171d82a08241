#include "runtime/run_log.h"

#include <unistd.h>

#include <cstdio>

#include "base/status_macros.h"
#include "runtime/statistics.h"

namespace weft {

absl::StatusOr<std::unique_ptr<RunLog>> RunLog::Open(const RunDirectory& run,
                                                     Coordination& coordination, int32_t rank,
                                                     const JobStatus& start, int32_t log_every) {
  std::unique_ptr<RunLog> log(new RunLog(coordination, rank, start, log_every));
  if (rank == 0) {
    WEFT_ASSIGN_OR_RETURN(log->metrics_, MetricsJsonl::Open(run.Join("metrics.jsonl")));
  }
  coordination.Publish(log->status_);
  return log;
}

RunLog::RunLog(Coordination& coordination, int32_t rank, const JobStatus& start, int32_t log_every)
    : coordination_(coordination), writes_(rank == 0), status_(start) {
  if (!writes_) return;
  ProgressStyle style = DetectProgressStyle(STDERR_FILENO);
  style.plain_every = log_every;
  line_ = std::make_unique<ProgressLine>(STDERR_FILENO, style);
}

absl::Status RunLog::Step(const StepFacts& f) {
  if (f.plan_epoch != status_.plan_epoch) {
    measured_.clear();
    predicted_.clear();
    overlaps_.clear();
  }
  measured_.push_back(f.step_seconds);
  predicted_.push_back(f.predicted_seconds);
  if (f.overlap != nullptr) overlaps_.push_back(*f.overlap);
  tokens_per_step_ = f.tokens;
  status_.step = f.step + 1;
  status_.loss = f.loss;
  status_.tokens_per_second = static_cast<double>(f.tokens) / f.step_seconds;
  status_.plan_epoch = f.plan_epoch;
  status_.predicted_step_seconds = f.predicted_seconds;
  status_.measured_step_seconds = f.step_seconds;
  coordination_.Publish(status_);
  if (!writes_) return absl::OkStatus();

  const StepOverlap overlap = MeanOverlap(overlaps_);
  MetricsRecord record = {{"step", status_.step},
                          {"loss", f.loss},
                          {"balance_loss", f.balance},
                          {"gradient_norm", f.gradient_norm},
                          {"learning_rate", f.learning_rate},
                          {"tokens_per_second", status_.tokens_per_second},
                          {"plan_epoch", f.plan_epoch},
                          {"predicted_step_seconds", f.predicted_seconds},
                          {"measured_step_seconds", f.step_seconds}};
  if (f.overlap != nullptr) {
    record.emplace_back("hidden_communication_seconds", f.overlap->hidden);
    record.emplace_back("exposed_communication_seconds", f.overlap->exposed);
    record.emplace_back("overlap_fraction", f.overlap->overlap_fraction());
  }
  if (!f.workload.empty()) record.emplace_back("workload", std::string(f.workload));
  WEFT_RETURN_IF_ERROR(metrics_->Append(record));

  Progress progress;
  progress.step = status_.step;
  progress.total_steps = status_.total_steps;
  progress.loss = f.loss;
  progress.val_bits_per_byte = status_.val_bits_per_byte;
  progress.tokens_per_second = status_.tokens_per_second;
  progress.plan_epoch = f.plan_epoch;
  progress.predicted_step_seconds = f.predicted_seconds;
  progress.measured_step_seconds = f.step_seconds;
  progress.hidden_communication_seconds = overlap.hidden;
  progress.exposed_communication_seconds = overlap.exposed;
  return line_->Show(progress);
}

absl::Status RunLog::Validation(int64_t step, double bits_per_byte) {
  status_.val_bits_per_byte = bits_per_byte;
  coordination_.Publish(status_);
  if (!writes_) return absl::OkStatus();
  return metrics_->Append({{"step", step}, {"val_bits_per_byte", bits_per_byte}});
}

void RunLog::Phase(const std::string& phase) {
  status_.phase = phase;
  coordination_.Publish(status_);
}

void RunLog::Checkpoint(int64_t step) {
  status_.last_checkpoint_step = step;
  coordination_.Publish(status_);
}

void RunLog::Say(const std::string& line) {
  if (!writes_) return;
  line_->Finish().IgnoreError();  // the terminal is gone: nobody to tell
  std::fprintf(stderr, "%s\n", line.c_str());
}

void RunLog::FillSummary(JobSummary& summary) const {
  summary.steps = status_.step;
  summary.val_bits_per_byte = status_.val_bits_per_byte;
  summary.plan_epoch = status_.plan_epoch;
  summary.world_size = status_.world_size;
  summary.measured_step_seconds = Median(measured_);
  summary.predicted_step_seconds = Median(predicted_);
  if (summary.measured_step_seconds > 0) {
    summary.tokens_per_second =
        static_cast<double>(tokens_per_step_) / summary.measured_step_seconds;
  }
  const StepOverlap overlap = MeanOverlap(overlaps_);
  summary.overlap_fraction = overlap.overlap_fraction();
  summary.hidden_communication_seconds = overlap.hidden;
  summary.exposed_communication_seconds = overlap.exposed;
}

}  // namespace weft
