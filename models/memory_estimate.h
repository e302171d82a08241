#pragma once

#include <cstdint>
#include <string>

#include "graph/topology.h"
#include "models/batch_shape.h"
#include "models/model_spec.h"

namespace weft {

// What training takes of a rank's memory, in bytes, under the expected load: what the modules of a
// model make (tests hold the two together). Buffers that grow with the load may come to more, as do
// those of a single rank that is made to cut its layers.
struct MemoryEstimate {
  int64_t parameters = 0;   // master weights, rounded ones, optimizer state
  int64_t gradients = 0;    // and what their reductions need
  int64_t activations = 0;  // of a micro-batch, kept for the backward or scratch
  int64_t exchange = 0;     // token rows on their way
  int64_t total() const { return parameters + gradients + activations + exchange; }
};

MemoryEstimate EstimateMemory(const ModelSpec& spec, const Topology& topology, const Layout& layout,
                              const BatchShape& batch, RankId rank);

// "61.2 GiB (parameters 24.0, gradients 12.0, activations 22.1, exchange 3.1)"
std::string ToString(const MemoryEstimate& estimate);

}  // namespace weft
