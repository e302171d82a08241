#pragma once

#include "scheduler/schedule.h"

namespace weft {

// Seconds that no order of these tasks on these streams can undercut: the longest chain of needs,
// and for each stream all its tasks one after another, plus the least that must happen before the
// first of them can start (head) and after the last has ended (tail). The cut, r times alpha
// included, is taken as given.
double LowerBound(const Schedule& schedule);

}  // namespace weft
