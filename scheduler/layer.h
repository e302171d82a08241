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
  // Needs what the stage before it needs, not that stage; what follows needs both.
  bool beside = false;
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

// How the chunks of a layer share the streams.
enum class LayerOrder : uint8_t {
  kSequential,              // one chunk of one stage after the other
  kOneCommunicationStream,  // D1 AG1 .. Dr AGr, RS1 C1 .. RSr Cr on one stream beside E1 .. Er
  kGathersFirst,            // three streams: D1 .. Dr, C1 .. Cr; AG1 .. AGr, RS1 .. RSr; E1 .. Er
  kReadyFirst,              // ... the intra-node stream in order of readiness, ties to scatters
};

// Stages follow one another chunk by chunk. `gamma` > 0 puts a gradient slice on the inter-node
// stream before the communication behind the experts. REQUIRES: r >= 1.
LayerSimulation SimulateLayer(std::span<const Stage> stages, double gamma, int32_t r,
                              LayerOrder order);

// Its seconds alone, to the last bit, for a fraction of the work: planning asks for thousands.
double LayerSeconds(std::span<const Stage> stages, double gamma, int32_t r, LayerOrder order);

}  // namespace weft
