#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "graph/plan.h"
#include "graph/topology.h"
#include "models/batch_shape.h"
#include "models/model_spec.h"

namespace weft {

// What a step graph is built from (models/build_step_graph.h).
struct StepShape {
  ModelSpec model;
  Topology topology;
  Layout layout;
  BatchShape batch;
};

// How many rows every rank had for every expert in the last steps; what a plan that follows the
// load makes of that, and what the operations behind the router carry, under any placement and any
// all-to-all. The step graph expects every expert to be as popular as any other: a plan made for
// that is too optimistic.
class ExpertLoads {
 public:
  explicit ExpertLoads(const StepShape& shape) : shape_(shape) {}

  // counts: [world][layers with experts][experts] of one step, after all that were recorded before.
  void Record(std::span<const int32_t> counts);
  bool empty() const { return recent_.empty(); }

  // How many rows the busiest rank has for the experts at its home, by the mean over the ranks: of
  // all layers together, as a mean over the last steps. 1: evenly spread, or nothing was recorded.
  double Fullness() const;

  // Where the experts of a layer should work in the next step. Equal histories and terms give equal
  // answers. REQUIRES: !empty().
  ExpertPlacement Follow(const FollowLoad& terms, int32_t layer) const;
  // The same of every layer with experts.
  Placements FollowAll(const FollowLoad& terms) const;

  // The graph with recorded sizes in place of the expected ones: per operation the busiest rank's,
  // because the others wait for it, as a mean over the last steps. Where experts follow the load,
  // they are placed for every one of these steps by what was known before it. The graph itself
  // when nothing was recorded. Plans of one are plans of the other (FingerprintOf leaves sizes
  // out).
  StepGraph Apply(const StepGraph& graph, const Placements& placements) const;

 private:
  // REQUIRES: age + 1 steps were recorded; `age` steps ago nothing newer was known.
  ExpertPlacement FollowFrom(size_t age, const FollowLoad& terms, int32_t layer) const;

  // Of one step.
  double FullnessOf(std::span<const int32_t> counts) const;

  StepShape shape_;
  std::deque<double> fullness_;              // newest first
  std::deque<std::vector<int32_t>> recent_;  // newest first
};

}  // namespace weft
