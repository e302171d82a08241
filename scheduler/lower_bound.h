#pragma once

#include "scheduler/schedule.h"

namespace weft {

// Seconds that no order of these tasks on these streams can undercut: the longest chain of needs,
// and for each stream the least that its tasks take one at a time, even if they could be
// interrupted, none before what it needs can have ended (head) and each followed by what needs it
// (tail): Jackson's preemptive schedule (J. Carlier, The one-machine sequencing problem, 1982).
// Times are of tasks alone. The cut, r times alpha included, is taken as given.
double LowerBound(const Schedule& schedule);

// A smaller one in a few passes over the tasks: the longest chain of needs, and for each stream and
// each task the least head, all seconds and the least tail of what is listed up to it, and of what
// is listed from it on.
double QuickLowerBound(const Schedule& schedule);

}  // namespace weft
