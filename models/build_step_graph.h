#pragma once

#include "graph/step_graph.h"
#include "graph/topology.h"
#include "models/batch_shape.h"
#include "models/model_spec.h"

namespace weft {

// kTraining: forward, backward, gradient reduction, optimizer. kForward: one micro-batch forward
// and the step reduction (validation).
enum class StepKind { kTraining, kForward };

// The operations of one step of `spec` on every rank of `layout`, sized by the expected load: every
// token is sent to top_k experts, evenly spread. Groups of one rank need no operation and get none.
StepGraph BuildStepGraph(const ModelSpec& spec, const Topology& topology, const Layout& layout,
                         const BatchShape& batch, StepKind kind);

}  // namespace weft
