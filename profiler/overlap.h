#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "graph/cost_key.h"
#include "profiler/instances.h"

// How much of a step's communication hides behind computation: the number Weft exists to raise.
// Pure functions on intervals of one rank; a rank is compared with itself only, so host clocks need
// not agree.

namespace weft {

// [begin, end) in nanoseconds; empty when end <= begin.
struct Interval {
  int64_t begin = 0;
  int64_t end = 0;
  friend bool operator==(const Interval&, const Interval&) = default;
};
// Disjoint, not touching, not empty, ascending.
using IntervalSet = std::vector<Interval>;

IntervalSet UnionOf(std::vector<Interval> intervals);
IntervalSet IntersectionOf(const IntervalSet& a, const IntervalSet& b);
int64_t LengthOf(const IntervalSet& set);

// One rank's step, in seconds. A transfer is the part of a collective after all members arrived;
// "compute" is what the compute stream does besides transfers.
struct StepOverlap {
  double step = 0;                         // first begin to last end
  double compute = 0;                      // some task computes
  double idle_compute = 0;                 // step - compute
  double hidden = 0;                       // some transfer beside compute
  double exposed = 0;                      // some transfer, no compute
  double inter_transfer = 0;               // some transfer between nodes
  double inter_transfer_hidden = 0;        // ... beside compute
  std::array<double, kNumStreams> busy{};  // by StreamKind: tasks, waits included
  std::array<double, kNumStreams> wait{};  // by StreamKind: for members that arrive later

  // inter_transfer_hidden / inter_transfer; 0 when nothing travels between nodes.
  double overlap_fraction() const {
    return inter_transfer > 0 ? inter_transfer_hidden / inter_transfer : 0;
  }
  friend bool operator==(const StepOverlap&, const StepOverlap&) = default;
};

// All zeros for no tasks.
StepOverlap OverlapOf(std::span<const TaskInterval> tasks);

// Means over ranks (or steps); its overlap_fraction weighs each by its transfer time. All zeros for
// none.
StepOverlap MeanOverlap(std::span<const StepOverlap> overlaps);

}  // namespace weft
