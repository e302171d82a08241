#pragma once

#include <cstdint>
#include <vector>

#include "scheduler/schedule.h"

// The order in which the intra-node stream serves its tasks, found by one simulation and then fixed
// for all ranks.

namespace weft {

enum class IntraRule : uint8_t {
  kIssueOrder,       // as listed
  kWithinPipelines,  // readiness among the tasks of one segment, segments as listed
  kReadiness,        // whoever became ready first; ties to reduce-scatters of the pipelines
  kPipelineFirst,    // the same, but gradient tasks only when no other task is ready
};

// What the rule must know of a task of the intra stream; ignored for other streams.
struct IntraTask {
  bool scatters =
      false;  // a reduce-scatter of a pipeline: first among tasks ready at the same time
  bool gradient = false;
  int32_t after = -1;   // a task of the intra stream that must be served before this one, or -1
  int32_t segment = 0;  // kWithinPipelines; non-decreasing along the issue order
};

// The tasks of `schedule` in the order in which they start when inter and compute keep their order
// and intra is served by `rule` (not kIssueOrder). REQUIRES: tasks.size() == schedule.size(),
// `after` earlier than its task.
std::vector<int32_t> OrderByReadiness(const Schedule& schedule, const std::vector<IntraTask>& tasks,
                                      IntraRule rule);

// When the last task ends in that order, of tasks alone: RunSchedule's answer where nothing
// contends, to the last bit.
double SecondsByReadiness(const Schedule& schedule, const std::vector<IntraTask>& tasks,
                          IntraRule rule);

}  // namespace weft
