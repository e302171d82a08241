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

// Seconds from the start of each task to the end of the step along its longest chain of needs,
// itself included: what critical-path scheduling serves first.
std::vector<double> SecondsToTheEnd(const Schedule& schedule);

}  // namespace weft
