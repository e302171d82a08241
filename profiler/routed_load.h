#pragma once

#include <cstdint>
#include <vector>

#include "graph/step_graph.h"
#include "profiler/instances.h"

namespace weft {

// How much the operations that carry routed rows really carry: per operation the busiest rank's
// size, because the others wait for it, as an exponentially weighted mean over the recorded steps.
// The step graph expects every expert to be as popular as any other; a plan made for that is too
// optimistic. An operation that the recorded plans left out, of another all-to-all algorithm,
// carries as many times its expected size as those of its kind that ran.
class RoutedLoad {
 public:
  // A step's weight halves in `half_life_steps`.
  explicit RoutedLoad(double half_life_steps = 20);

  // REQUIRES: the step was merged against `plan`, a plan of `graph`, always the same graph.
  void Record(const StepGraph& graph, const Plan& plan, const MergedStep& step);

  // The graph with the recorded sizes in place of the expected ones; the graph itself before the
  // first step. Plans of one are plans of the other (FingerprintOf leaves sizes out).
  StepGraph Apply(const StepGraph& graph) const;

 private:
  // An exponentially weighted mean.
  struct Mean {
    double sum = 0;
    double weight = 0;  // of the steps that had the operation, newest 1
    double value() const { return sum / weight; }
  };

  double keep_;              // of the mean, in one step
  std::vector<Mean> means_;  // by operation
};

}  // namespace weft
