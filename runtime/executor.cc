#include "runtime/executor.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace weft {

StreamSet::StreamSet(const ComputeOptions& compute) {
  if (compute.share < 1) processor = std::make_unique<EmulatedProcessor>(compute.share);
  std::unique_ptr<ComputeDevice> cpu;
  ComputeDevice* device = compute.device;
  if (device == nullptr) {
    cpu = MakeCpuDevice();
    device = cpu.get();
  }
  for (int i = 0; i < kNumStreams; ++i) {
    const auto kind = static_cast<StreamKind>(i);
    StreamOptions options;
    options.name = std::string(Name(kind));
    options.computes = kind == StreamKind::kCompute;
    if (options.computes) options.processors = compute.processors;
    streams[static_cast<size_t>(i)] = device->MakeStream(options);
  }
}

Executor::Executor(RankId rank, StreamSet& streams, StepProgram& program, const Clock& clock,
                   std::function<void(const absl::Status&)> on_failure, CollectiveRules rules)
    : rank_(rank),
      streams_(streams),
      program_(program),
      clock_(clock),
      on_failure_(std::move(on_failure)),
      rules_(std::move(rules)) {}

absl::Status Executor::Install(std::shared_ptr<const StepGraph> graph,
                               std::shared_ptr<const Plan> plan) {
  WEFT_RETURN_IF_ERROR(ValidatePlan(*graph, *plan));
  WEFT_RETURN_IF_ERROR(program_.Prepare(*graph, *plan));
  const size_t count = plan->tasks.size();
  std::vector<std::vector<int32_t>> needs = TaskNeeds(*graph, *plan);
  // One task after another: each waits for the one before, on the stream that it has anyhow.
  const bool in_turn = plan->streams == 1;
  if (in_turn) {
    for (size_t i = 1; i < count; ++i) needs[i] = {static_cast<int32_t>(i) - 1};
  }
  std::vector<Launch> launches(count);
  const auto stream_of = [&](size_t i) {
    const StreamKind own = graph->op(plan->tasks[i].op).stream;
    return static_cast<size_t>(in_turn ? own : StreamUnder(plan->streams, own));
  };
  // seen[s][t]: the last task of stream t that stream s has already waited for. Streams run in
  // order, so waiting for a later task of a stream covers every earlier one.
  std::array<std::array<int32_t, kNumStreams>, kNumStreams> seen{};
  for (auto& row : seen) row.fill(-1);
  for (size_t i = 0; i < count; ++i) {
    const size_t own = stream_of(i);
    launches[i].stream = streams_.streams[own].get();
    launches[i].name = TaskName(*graph, plan->tasks[i]);
    std::array<int32_t, kNumStreams> latest{};
    latest.fill(-1);
    for (const int32_t need : needs[i]) {
      int32_t& entry = latest[stream_of(static_cast<size_t>(need))];
      entry = std::max(entry, need);
    }
    for (size_t other = 0; other < kNumStreams; ++other) {
      if (other == own || latest[other] <= seen[own][other]) continue;
      seen[own][other] = latest[other];
      launches[i].awaited.push_back(latest[other]);
      launches[static_cast<size_t>(latest[other])].recorded = true;
    }
  }
  launches_ = std::move(launches);
  events_.assign(count, nullptr);
  spans_.assign(count, Span{});
  graph_ = std::move(graph);
  plan_ = std::move(plan);
  return absl::OkStatus();
}

absl::StatusOr<StepReport> Executor::RunStep(int64_t step, bool record_spans) {
  step_ = step;
  failed_ = false;
  turns_.Begin();
  step_begin_nanos_ = clock_.NowNanos();
  record_spans = record_spans || streams_.processor != nullptr;
  absl::Status status;
  for (size_t i = 0; i < launches_.size() && status.ok(); ++i) {
    const Launch& launch = launches_[i];
    for (const int32_t task : launch.awaited) {
      status.Update(launch.stream->Wait(events_[static_cast<size_t>(task)]));
    }
    std::shared_ptr<IssueTurns::Turn> turn;
    const Op& op = graph_->op(plan_->tasks[i].op);
    if (rules_.in_plan_order && op.key.group != GroupKind::kNone) turn = turns_.Take();
    status.Update(launch.stream->Enqueue([this, i, record_spans, own = std::move(turn)] {
      return RunTask(i, record_spans, own.get());
    }));
    if (launch.recorded) {
      auto event = launch.stream->Record();
      status.Update(event.status());
      if (event.ok()) events_[i] = *std::move(event);
    }
  }
  status.Update(Synchronize());
  WEFT_RETURN_IF_ERROR(status);
  StepReport report;
  report.step = step;
  report.epoch = plan_->epoch;
  report.seconds = static_cast<double>(clock_.NowNanos() - step_begin_nanos_) * 1e-9;
  if (record_spans) report.spans = spans_;
  return report;
}

absl::Status Executor::Synchronize() {
  absl::Status status;
  for (auto& stream : streams_.streams) {
    absl::Status ended = stream->Synchronize();
    // Of the device: those of tasks have let everybody go already.
    if (!ended.ok() && !failed_) {
      ended = Explained(ended);
      Failed(ended);
    }
    status.Update(ended);
  }
  if (rules_.health == nullptr) return status;
  const absl::Status health = rules_.health();
  if (health.ok()) return status;
  absl::Status explained = Explained(health);
  Failed(explained);
  // What tasks found aborted was so because of it.
  if (status.ok() || (absl::IsAborted(status) && !absl::IsAborted(health))) return explained;
  return status;
}

absl::Status Executor::Explained(const absl::Status& status, const PlanTask* task) const {
  return WithContext(
      status, absl::StrCat("step ", step_, ", epoch ", plan_->epoch, ", ",
                           task == nullptr ? "" : absl::StrCat(TaskName(*graph_, *task), ", "),
                           "rank ", rank_.value));
}

void Executor::Failed(const absl::Status& explained) {
  if (failed_.exchange(true)) return;
  on_failure_(explained);
  turns_.LetGo();
}

int64_t Executor::ReadyNanos(size_t index) const {
  int64_t ready = step_begin_nanos_;
  for (const int32_t task : launches_[index].awaited)
    ready = std::max(ready, spans_[static_cast<size_t>(task)].end_nanos);
  return ready;
}

absl::Status Executor::RunTask(size_t index, bool record_spans, IssueTurns::Turn* turn) {
  if (turn != nullptr) turn->Await();
  // After the first failure nothing else of the step is worth running.
  if (failed_.load(std::memory_order_relaxed)) return absl::OkStatus();
  const PlanTask& task = plan_->tasks[index];
  const Op& op = graph_->op(task.op);
  Span& span = spans_[index];
  Stream& stream = *launches_[index].stream;
  if (record_spans) stream.Stamp(clock_, &span.begin_nanos);
  EmulatedProcessor* const processor =
      op.key.group == GroupKind::kNone ? streams_.processor.get() : nullptr;
  if (processor != nullptr) span.begin_nanos = processor->Begin(ReadyNanos(index));
  double size = 0;
  stream.BeginRange(launches_[index].name);
  const absl::Status status = program_.Run(op, task, &size);
  stream.EndRange();
  if (processor != nullptr && status.ok()) processor->End();
  if (!status.ok()) {
    absl::Status explained = Explained(status, &task);
    Failed(explained);
    return explained;
  }
  if (turn != nullptr) turn->Pass();
  if (record_spans) {
    stream.Stamp(clock_, &span.end_nanos);
    span.step = step_;
    span.epoch = plan_->epoch;
    span.rank = rank_.value;
    span.task = static_cast<int32_t>(index);
    span.size = size;
  }
  return absl::OkStatus();
}

}  // namespace weft
