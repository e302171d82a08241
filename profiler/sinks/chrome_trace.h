#pragma once

#include <array>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "graph/plan.h"
#include "graph/step_graph.h"
#include "profiler/instances.h"

// Writes a rank's steps as Chrome JSON ("traceEvents"), which Perfetto (ui.perfetto.dev),
// chrome://tracing and HTA open. Open -> AddStep for each step in order -> Close; the file is valid
// JSON only after Close. StartProcess in between: another rank's steps follow. A process is a rank,
// a thread is a stream. Spans of one stream that
// overlap are moved to further lanes ("inter 2"), because complete events of one thread must not
// overlap.

namespace weft {

struct TraceProcess {
  int32_t rank = 0;
  int32_t world_size = 1;
  int32_t node = 0;
  std::string backend;       // "mpi", "inproc", "nccl": distributedInfo, which HTA insists on
  int64_t origin_nanos = 0;  // this point of the rank's clock is time 0 of the file
};

class ChromeTrace {
 public:
  // Creates or replaces the file. Errors name it.
  static absl::StatusOr<std::unique_ptr<ChromeTrace>> Open(const std::string& path,
                                                           const TraceProcess& process);
  ~ChromeTrace();  // closes; errors are lost, so call Close
  ChromeTrace(const ChromeTrace&) = delete;
  ChromeTrace& operator=(const ChromeTrace&) = delete;

  // What is added from here on is this rank's. REQUIRES: a rank that the file does not have yet.
  absl::Status StartProcess(const TraceProcess& process);

  // One event a task: name TaskName, category the stream, ts and dur in us, args step, epoch,
  // layer, chunk, size and wait (us spent waiting for later members, at the event's start).
  // REQUIRES: the tasks are of this plan and this graph; Close was not called.
  absl::Status AddStep(const StepGraph& graph, const Plan& plan, int64_t step,
                       std::span<const TaskInterval> tasks);

  // Completes the file. Calling it again does nothing.
  absl::Status Close();

 private:
  struct Lane {
    int tid = 0;
    int64_t end_nanos = 0;
  };

  ChromeTrace(std::string path, const TraceProcess& process, std::FILE* file);
  absl::Status WriteEvent(const std::string& json);
  absl::StatusOr<int> TidFor(StreamKind stream, int64_t begin_nanos, int64_t end_nanos);
  absl::Status Failed(const char* what) const;

  const std::string path_;
  TraceProcess process_;
  std::FILE* file_;
  bool first_event_ = true;
  std::array<std::vector<Lane>, kNumStreams> lanes_;
};

}  // namespace weft
