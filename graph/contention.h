#pragma once

#include <array>

#include "graph/cost_key.h"

namespace weft {

// What the streams of a rank cost one another: while stream t is busy, a task of stream s runs at
// speed 1 / (1 + sum over busy t of stretch[s][t]). Ranks that send over TCP spend processor time
// that their products then lack; a second transfer takes its share of a link. Entries are >= 0, the
// diagonal is 0.
struct Contention {
  std::array<std::array<double, kNumStreams>, kNumStreams> stretch{};

  // Nothing is in anything's way: every task takes the time it takes alone.
  bool none() const { return *this == Contention{}; }

  // How many times as long a task of stream s takes when stream t is busy for the share beside[t]
  // of it.
  double StretchOf(StreamKind s, const std::array<double, kNumStreams>& beside) const {
    double sum = 1;
    for (size_t t = 0; t < beside.size(); ++t)
      sum += stretch[static_cast<size_t>(s)][t] * beside[t];
    return sum;
  }

  friend bool operator==(const Contention&, const Contention&) = default;
};

}  // namespace weft
