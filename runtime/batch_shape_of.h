#pragma once

#include "graph/topology.h"
#include "models/batch_shape.h"
#include "runtime/options.h"

namespace weft {

// One rank's micro-batch. REQUIRES: global_batch is a multiple of world size times micro_batches
// (launch/config checks).
BatchShape BatchShapeOf(const TrainingOptions& training, const Topology& topology);

}  // namespace weft
