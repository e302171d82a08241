#pragma once

#include "simulation/world.h"

namespace weft {

// RunWorld where busy streams of a rank slow one another: from event to event, in the order of
// time, with a queue of what runs. O(log) an end of a task on a rank or group.
double RunContendedWorld(const World& world, WorldObserver observe);

}  // namespace weft
