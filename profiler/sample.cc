#include "profiler/sample.h"

#include <algorithm>

namespace weft {

void AddSamples(std::span<const KeyedSample> samples, ProfileTable& table) {
  for (const KeyedSample& keyed : samples) {
    std::vector<CostSample>& filed = table.entries[keyed.key].samples;
    const auto after =
        std::upper_bound(filed.begin(), filed.end(), keyed.sample,
                         [](const CostSample& a, const CostSample& b) { return a.size < b.size; });
    filed.insert(after, keyed.sample);
  }
}

}  // namespace weft
