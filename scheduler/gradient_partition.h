#pragma once

#include <cstdint>
#include <vector>

// Which windows carry the gradients that fit into none for free (FSMoE section 5, step 2), by an
// exact dynamic program on a grid instead of the paper's differential evolution.

namespace weft {

// A pipeline of the backward pass that can carry gradients between its two all-to-alls, at a price.
struct PartitionWindow {
  int64_t produced = 0;  // quanta of gradient that are there before it and were not before the last
  // seconds[x]: the layer's time with x quanta in the window, its degree solved again for each x.
  // Not empty, non-decreasing.
  std::vector<double> seconds;
};

struct GradientPartition {
  std::vector<int64_t> quanta;  // by window; what is not listed goes to the end of the step
  double seconds = 0;           // of all windows and the end
};

// Minimises sum over windows of seconds[x] plus end_seconds[what is left], where a gradient travels
// only after it is produced: the quanta placed up to a window never exceed those produced by then.
// `at_the_end`: quanta produced after the last window. Ties go to later windows. Takes
// O(windows * quanta^2). REQUIRES: windows in backward order, end_seconds for every possible rest.
GradientPartition PartitionGradients(const std::vector<PartitionWindow>& windows,
                                     int64_t at_the_end, const std::vector<double>& end_seconds);

}  // namespace weft
