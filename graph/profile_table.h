#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "graph/contention.h"
#include "graph/cost_key.h"

// Measured costs by CostKey (always a CalibrationKey): samples and the line fitted through them,
// each task alone, and what tasks that run beside one another add.
// Filled by the profiler, read by the scheduler's MeasuredCostModel, saved as profile.json.

namespace weft {

struct CostSample {
  double size = 0;  // regressor (see CostKey)
  double seconds = 0;
  friend bool operator==(const CostSample&, const CostSample&) = default;
};

// seconds = alpha + beta * size, alpha and beta >= 0.
struct LinearCost {
  double alpha = 0;
  double beta = 0;
  double r2 = 0;
  double median_relative_residual = 0;
  bool accepted = false;  // median relative residual <= 10%; otherwise costs are interpolated
                          // between the samples
  friend bool operator==(const LinearCost&, const LinearCost&) = default;
};

struct CostEntry {
  std::vector<CostSample> samples;  // ascending by size
  LinearCost fit;
  friend bool operator==(const CostEntry&, const CostEntry&) = default;
};

struct ProfileTable {
  uint64_t machine_fingerprint =
      0;  // digest of topology, layout and host: a profile of another machine is refused
  Contention contention;
  std::map<int32_t, Contention> limited_contention;  // by Plan::sm_limit, where not 0
  std::map<CostKey, CostEntry> entries;

  // Under a plan's limit; of one that was not measured, as without.
  const Contention& ContentionUnder(int32_t sm_limit) const {
    const auto found = limited_contention.find(sm_limit);
    return found == limited_contention.end() ? contention : found->second;
  }
  friend bool operator==(const ProfileTable&, const ProfileTable&) = default;
};

// Stable bytes: same table, same text. REQUIRES: finite numbers.
std::string ProfileToJson(const ProfileTable& table);
// kInvalidArgument, in one sentence, for anything but a whole profile.json of this version; never
// throws.
absl::StatusOr<ProfileTable> ProfileFromJson(std::string_view json);

}  // namespace weft
