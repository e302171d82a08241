#pragma once

#include <cstdint>
#include <vector>

#include "scheduler/schedule.h"

// List scheduling: every stream serves, of the tasks that could start, the most urgent one. One
// simulation finds the order; it is then fixed for all ranks.

namespace weft {

// The tasks of `schedule` in the order in which they start when each stream, whenever it is free,
// takes the ready task with the smallest urgency[task], ties to the one listed first. A stream
// never idles while a task of its own is ready. REQUIRES: urgency.size() == schedule.size().
std::vector<int32_t> OrderByPriority(const Schedule& schedule, const std::vector<double>& urgency);

// The tasks in the order in which they start when each, the most urgent first, takes the first gap
// of its stream that it fits into behind what it needs. Other than above a stream may wait for a
// task that is about to be ready. REQUIRES: no task is more urgent than one that it needs.
std::vector<int32_t> OrderInGaps(const Schedule& schedule, const std::vector<double>& urgency);

// When the last task ends in these orders, of tasks alone: RunSchedule's answer where nothing
// contends, to the last bit, for a fraction of the work.
double SecondsByPriority(const Schedule& schedule, const std::vector<double>& urgency);
double SecondsInGaps(const Schedule& schedule, const std::vector<double>& urgency);

// When each task would start if streams served any number of tasks at once: behind its longest
// chain of needs.
std::vector<double> EarliestStarts(const Schedule& schedule);

// Seconds from the start of each task to the end of the step along its longest chain of needs,
// itself included: what critical-path scheduling serves first.
std::vector<double> SecondsToTheEnd(const Schedule& schedule);

// The same if streams serve one task at a time: the schedule run backwards, from the end of the
// step, as by OrderByPriority, first what can start last. Never less than SecondsToTheEnd.
std::vector<double> ServedSecondsToTheEnd(const Schedule& schedule);

}  // namespace weft
