#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
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

// A step of the past as a plan would have met it.
struct LoadedStep {
  StepGraph graph;        // with that step's sizes
  Placements placements;  // of experts that follow the load: by what was known before it
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

  // How many rows the busiest rank has for the experts that live with it by the configuration, by
  // the mean over the ranks: of all layers together, as a mean over the last steps. Says what the
  // load is, whatever plans make of it. 1: evenly spread, or nothing was recorded.
  double Fullness() const;

  // Where the experts of a layer should work in the next step, which live where `placements` says
  // and follow the load on its terms. Equal histories and arguments give equal answers. REQUIRES:
  // !empty().
  ExpertPlacement Follow(const Placements& placements, int32_t layer) const;
  // The same of every layer with experts.
  Placements FollowAll(const FollowLoad& terms, const std::vector<HomeChoice>& homes = {}) const;

  // Where the experts of every layer should live that live at `homes` now, going by all recorded
  // steps and what `terms` say of rows (ChooseHomes). REQUIRES: !empty().
  std::vector<HomeChoice> Rebalance(const FollowLoad& terms,
                                    const std::vector<HomeChoice>& homes) const;

  // The graph with recorded sizes in place of the expected ones: per operation the busiest rank's,
  // because the others wait for it, as a mean over the last steps. Where experts follow the load,
  // they are placed for every one of these steps by what was known before it. The graph itself
  // when nothing was recorded. Plans of one are plans of the other (FingerprintOf leaves sizes
  // out).
  StepGraph Apply(const StepGraph& graph, const Placements& placements) const;

  // Each of the steps that Apply takes the mean of by itself, newest first; none when nothing was
  // recorded. Where hot experts take turns no step has the mean sizes.
  std::vector<LoadedStep> ApplyEach(const StepGraph& graph, const Placements& placements) const;

 private:
  // How many steps Apply looks at.
  size_t applied() const;

  // The placements of the step `age` steps ago. REQUIRES: it was recorded.
  Placements PlacedAt(size_t age, const Placements& placements) const;

  // By operation: what the busiest rank had of it `age` steps ago, experts placed like this;
  // nothing for operations that do not depend on the load. REQUIRES: that step was recorded.
  std::vector<std::optional<double>> SizesAt(size_t age, const StepGraph& graph,
                                             const Placements& placed) const;

  // REQUIRES: age + 1 steps were recorded; `age` steps ago nothing newer was known.
  ExpertPlacement FollowFrom(size_t age, const Placements& placements, int32_t layer) const;

  // Rows of a layer that every rank had for who lives at every home, [world][experts]: the mean of
  // `steps` steps, the newest of them `age` steps ago. REQUIRES: they were recorded.
  std::vector<int64_t> MeanRows(size_t age, size_t steps, int32_t layer,
                                const ExpertHomes& homes) const;

  // Of one step.
  double FullnessOf(std::span<const int32_t> counts) const;

  StepShape shape_;
  std::deque<double> fullness_;              // newest first
  std::deque<std::vector<int32_t>> recent_;  // newest first
};

}  // namespace weft
