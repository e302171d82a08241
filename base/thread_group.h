#pragma once

namespace weft {

// Moves the calling thread, and the threads that it will start, into the control group whose
// directory the environment variable WEFT_COMPUTE_CGROUP names; nothing without it. Who runs Weft
// holds computation alone to a share of the processor with it, as bench/cluster does. A group that
// cannot be entered is a warning.
void EnterComputeGroup();

}  // namespace weft
