#pragma once

#include <array>
#include <span>

#include "graph/contention.h"

// What running beside other streams costs, from tasks that ran beside them and from what they cost
// alone.

namespace weft {

// One task that ran while other streams did.
struct BesideSample {
  StreamKind stream = StreamKind::kCompute;
  double alone_seconds = 0;                  // what it costs alone, by a fit
  double seconds = 0;                        // what it took
  std::array<double, kNumStreams> beside{};  // KeyedSample::beside
};

// For each stream s the stretch[s] in [0, 3] that minimises the sum of
// alone_seconds * (alone_seconds / seconds - AloneShare(s, beside))^2, to 0.01. Ratios of seconds
// are taken into [0.5, 4], and the tenth of the samples that misfits most is left out of a second
// fit. Zero for streams that no sample ran beside for a twentieth of its time. Samples without
// positive, finite times are ignored.
Contention FitContention(std::span<const BesideSample> samples);

}  // namespace weft
