#pragma once

#include <array>

#include "graph/plan.h"
#include "graph/span.h"
#include "graph/step_graph.h"

namespace weft {

// What a step's time went to on one rank. All in seconds. From a simulated trace or a measured one
// alike.
struct StreamUse {
  double makespan = 0;                        // first begin to last end
  std::array<double, kNumStreams> busy = {};  // by StreamKind
  double communication = 0;                   // intra or inter busy
  double exposed = 0;                         // communication while compute is idle
  double idle = 0;                            // no stream busy

  double hidden() const { return communication - exposed; }
};

// REQUIRES: the spans are of one rank and one step of this plan.
StreamUse StreamUseOf(const StepGraph& graph, const Plan& plan, const Trace& trace);

}  // namespace weft
