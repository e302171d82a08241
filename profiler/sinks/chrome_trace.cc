#include "profiler/sinks/chrome_trace.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"

namespace weft {
namespace {

using Json = nlohmann::ordered_json;

// Escapes what JSON demands; bytes that are not UTF-8 become U+FFFD.
std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

double Micros(int64_t nanos) { return static_cast<double>(nanos) / 1e3; }

Json Metadata(const char* name, int32_t pid, int tid, const char* field, Json value) {
  return {{"name", name}, {"ph", "M"}, {"pid", pid}, {"tid", tid}, {"args", {{field, value}}}};
}

}  // namespace

ChromeTrace::ChromeTrace(std::string path, const TraceProcess& process, std::FILE* file)
    : path_(std::move(path)), process_(process), file_(file) {}

absl::StatusOr<std::unique_ptr<ChromeTrace>> ChromeTrace::Open(const std::string& path,
                                                               const TraceProcess& process) {
  std::FILE* file = std::fopen(path.c_str(), "w");
  if (file == nullptr) {
    return absl::NotFoundError(
        absl::StrCat("cannot create trace ", path, ": ", std::strerror(errno)));
  }
  std::unique_ptr<ChromeTrace> trace(new ChromeTrace(path, process, file));
  // HTA searches the text for `"rank": <digits>` before it parses, so the blank after the colon is
  // part of the format.
  const std::string head =
      absl::StrCat("{\"displayTimeUnit\": \"ms\",\n\"distributedInfo\": {\"rank\": ", process.rank,
                   ", \"world_size\": ", process.world_size,
                   ", \"backend\": ", Dump(process.backend), "},\n\"traceEvents\": [");
  if (std::fputs(head.c_str(), file) < 0) return trace->Failed("write");
  WEFT_RETURN_IF_ERROR(trace->StartProcess(process));
  return trace;
}

absl::Status ChromeTrace::StartProcess(const TraceProcess& process) {
  process_ = process;
  lanes_ = {};
  const std::string name = absl::StrCat("rank ", process.rank, " (node ", process.node, ")");
  WEFT_RETURN_IF_ERROR(WriteEvent(Dump(Metadata("process_name", process.rank, 0, "name", name))));
  return WriteEvent(
      Dump(Metadata("process_sort_index", process.rank, 0, "sort_index", process.rank)));
}

ChromeTrace::~ChromeTrace() { (void)Close(); }

absl::Status ChromeTrace::Failed(const char* what) const {
  return absl::DataLossError(
      absl::StrCat("cannot ", what, " trace ", path_, ": ", std::strerror(errno)));
}

absl::Status ChromeTrace::WriteEvent(const std::string& json) {
  const bool ok =
      std::fputs(first_event_ ? "\n" : ",\n", file_) >= 0 && std::fputs(json.c_str(), file_) >= 0;
  first_event_ = false;
  return ok ? absl::OkStatus() : Failed("write");
}

absl::StatusOr<int> ChromeTrace::TidFor(StreamKind stream, int64_t begin_nanos, int64_t end_nanos) {
  const int index = static_cast<int>(stream);
  std::vector<Lane>& lanes = lanes_[static_cast<size_t>(stream)];
  for (Lane& lane : lanes) {
    if (lane.end_nanos <= begin_nanos) {
      lane.end_nanos = end_nanos;
      return lane.tid;
    }
  }
  const int number = static_cast<int>(lanes.size());
  const int tid = 1 + index + kNumStreams * number;
  lanes.push_back({tid, end_nanos});
  std::string name(Name(stream));
  if (number > 0) absl::StrAppend(&name, " ", number + 1);
  WEFT_RETURN_IF_ERROR(WriteEvent(Dump(Metadata("thread_name", process_.rank, tid, "name", name))));
  WEFT_RETURN_IF_ERROR(WriteEvent(Dump(
      Metadata("thread_sort_index", process_.rank, tid, "sort_index", 1000 * index + number))));
  return tid;
}

absl::Status ChromeTrace::AddStep(const StepGraph& graph, const Plan& plan, int64_t step,
                                  std::span<const TaskInterval> tasks) {
  WEFT_CHECK(file_ != nullptr, "the trace is open");
  std::vector<TaskInterval> ordered(tasks.begin(), tasks.end());
  std::stable_sort(ordered.begin(), ordered.end(),
                   [](const auto& a, const auto& b) { return a.begin_nanos < b.begin_nanos; });
  for (const TaskInterval& t : ordered) {
    WEFT_CHECK(t.task >= 0 && static_cast<size_t>(t.task) < plan.tasks.size(),
               "the task is of this plan");
    const PlanTask& task = plan.tasks[static_cast<size_t>(t.task)];
    const Op& op = graph.op(task.op);
    WEFT_ASSIGN_OR_RETURN(const int tid, TidFor(t.stream, t.begin_nanos, t.end_nanos));
    const Json event = {{"name", TaskName(graph, task)},
                        {"cat", std::string(Name(t.stream))},
                        {"ph", "X"},
                        {"ts", Micros(t.begin_nanos - process_.origin_nanos)},
                        {"dur", Micros(t.end_nanos - t.begin_nanos)},
                        {"pid", process_.rank},
                        {"tid", tid},
                        {"args",
                         {{"step", step},
                          {"epoch", plan.epoch},
                          {"layer", op.layer},
                          {"chunk", task.chunk},
                          {"size", t.size},
                          {"wait", Micros(t.wait_nanos())}}}};
    WEFT_RETURN_IF_ERROR(WriteEvent(Dump(event)));
  }
  return absl::OkStatus();
}

absl::Status ChromeTrace::Close() {
  if (file_ == nullptr) return absl::OkStatus();
  const bool written = std::fputs("\n]}\n", file_) >= 0;
  const bool closed = std::fclose(std::exchange(file_, nullptr)) == 0;
  return written && closed ? absl::OkStatus() : Failed("complete");
}

}  // namespace weft
