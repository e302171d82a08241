#pragma once

#include <array>
#include <span>

#include "graph/profile_table.h"

// One measured cost and the key it is filed under: what the merged spans of a step yield
// (profiler/instances.h) and what profiles are made of.

namespace weft {

struct KeyedSample {
  CostKey key;  // a CalibrationKey
  CostSample sample;
  StreamKind stream = StreamKind::kCompute;
  // By stream: the share of the sample's time during which that other stream was at work, too.
  std::array<double, kNumStreams> beside{};
  friend bool operator==(const KeyedSample&, const KeyedSample&) = default;
};

// Files the samples under their keys; each entry stays ascending by size, equal sizes in order of
// arrival. Fits are left as they are: call FitTable afterwards.
void AddSamples(std::span<const KeyedSample> samples, ProfileTable& table);

}  // namespace weft
