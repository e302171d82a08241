#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "graph/plan.h"
#include "graph/span.h"
#include "graph/step_graph.h"
#include "graph/topology.h"
#include "profiler/sample.h"

// Makes costs out of spans. A collective ends together on all members but begins on each when it
// arrives, so a span of it is waiting and transferring in one. An instance is one task on one
// group; its cost is the shortest span among the members (the last to arrive did not wait), and the
// rest of each member's span is wait. Only lengths are compared between ranks, never points in
// time: clocks of different hosts need not agree.

namespace weft {

// One task on one rank, on that rank's clock: [begin, transfer) is wait, [transfer, end) is work. A
// compute task has no wait: transfer == begin.
struct TaskInterval {
  int32_t task = 0;  // index into Plan::tasks
  StreamKind stream = StreamKind::kCompute;
  LinkClass link = LinkClass::kNone;  // kNone: nothing travels
  int64_t begin_nanos = 0;
  int64_t transfer_nanos = 0;
  int64_t end_nanos = 0;
  double size = 0;  // as this rank recorded it

  int64_t wait_nanos() const { return transfer_nanos - begin_nanos; }
  friend bool operator==(const TaskInterval&, const TaskInterval&) = default;
};

// The spans of one step as they arrive at rank 0.
struct StepSpans {
  int64_t step = 0;
  std::vector<Trace> by_rank;  // [world_size]
};

struct MergedStep {
  int64_t step = 0;
  int64_t epoch = 0;
  int32_t sm_limit = 0;                            // of the plan
  std::vector<KeyedSample> samples;                // by task, then by rank: deterministic
  std::vector<std::vector<TaskInterval>> by_rank;  // [world_size], ascending by task
  int64_t unplanned_spans =
      0;  // of another step, epoch or rank, of no task, or a second one of a task: left out
  int64_t missing_spans = 0;           // a task of the plan that a rank has no span of
  int64_t incomplete_collectives = 0;  // instances with a missing member: they give no sample
};

// What a step is matched against. All must outlive the call.
struct MergeContext {
  const StepGraph& graph;
  const Plan& plan;
  const Topology& topology;
  const Layout& layout;
};

// A compute task gives one sample, of the slowest rank: the others wait for it at the next
// collective. A collective gives one an instance, of the shortest member's time and the busiest
// member's size. What ran beside it is read off the rank that gave the sample: the slowest one, the
// shortest member. kInvalidArgument when there is not one trace a rank, or a task of the plan names
// no operation.
absl::StatusOr<MergedStep> MergeStep(const MergeContext& context, const StepSpans& spans);

}  // namespace weft
