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

  // How many times as long a task of stream s takes while exactly these streams are busy.
  double StretchOf(StreamKind s, const std::array<bool, kNumStreams>& busy) const {
    double sum = 1;
    for (size_t t = 0; t < busy.size(); ++t)
      sum += busy[t] ? stretch[static_cast<size_t>(s)][t] : 0;
    return sum;
  }

  // Of the time that a task of stream s took while stream t was busy for the share beside[t] of it,
  // the share that it would have taken alone. Which streams were busy together is not known: as
  // often as if by chance.
  double AloneShare(StreamKind s, const std::array<double, kNumStreams>& beside) const {
    double share = 0;
    for (size_t set = 0; set < size_t{1} << kNumStreams; ++set) {
      double part = 1;  // of the time in which exactly `set` is busy
      std::array<bool, kNumStreams> busy{};
      for (size_t t = 0; t < kNumStreams; ++t) {
        busy[t] = (set >> t & 1) != 0;
        part *= busy[t] ? beside[t] : 1 - beside[t];
      }
      if (part > 0) share += part / StretchOf(s, busy);
    }
    return share;
  }

  friend bool operator==(const Contention&, const Contention&) = default;
};

}  // namespace weft
