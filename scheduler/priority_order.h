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

// Better urgencies from given ones, by justification (Li and Willis 1992): the schedule that `urgency`
// gives is pushed as late as it goes, latest end first; the new urgency of a task is its start then.
std::vector<double> Justified(const Schedule& schedule, const std::vector<double>& urgency);

// Seconds from the start of each task to the end of the step along its longest chain of needs,
// itself included: what critical-path scheduling serves first.
std::vector<double> SecondsToTheEnd(const Schedule& schedule);

}  // namespace weft
