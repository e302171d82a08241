#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "graph/cost_key.h"
#include "scheduler/closed_forms.h"

// One MoE layer's pipeline alone, run by the same simulator as whole steps (schedule.h): what
// choose_degrees compares, what the closed forms are tested against and what a person can ask for
// by numbers.

namespace weft {

// One operation of the pipeline, cut into r equal chunks.
struct Stage {
  OpKind kind = OpKind::kExpert;
  StreamKind stream = StreamKind::kCompute;
  double seconds = 0;  // of one chunk
};

// Dispatch, gather, expert, scatter, combine.
std::vector<Stage> StagesOf(const LayerTimes& times);

struct LayerTask {
  OpKind kind = OpKind::kExpert;  // kGradAllReduce: the gradient slice
  int32_t chunk = 0;
  StreamKind stream = StreamKind::kCompute;
  double begin = 0;
  double seconds = 0;
};

struct LayerSimulation {
  double seconds = 0;
  std::vector<LayerTask> tasks;  // in issue order
};

// Stages follow one another chunk by chunk. `gamma` > 0 puts a gradient slice on the inter-node
// stream before the first chunk of the last stage. `ready_first`: the intra-node stream serves
// gathers and scatters in order of readiness, ties to scatters; otherwise all gathers before all
// scatters. REQUIRES: r >= 1.
LayerSimulation SimulateLayer(std::span<const Stage> stages, double gamma, int32_t r,
                              bool ready_first);

}  // namespace weft
