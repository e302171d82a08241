#include "runtime/plan_request.h"

#include "base/check.h"

namespace weft {

PlanRequest PlanRequestOf(const TuningOptions& options, const std::string& policy) {
  PlanRequest request;
  request.policy = policy;
  request.degrees = options.degrees;
  request.without_passes = options.without_passes;
  request.all_to_alls.clear();
  for (const std::string& name : options.all_to_alls) {
    const absl::StatusOr<AllToAllAlgorithm> algorithm = ParseAllToAllAlgorithm(name);
    WEFT_CHECK(algorithm.ok(), "the configuration names all-to-all algorithms");
    request.all_to_alls.push_back(*algorithm);
  }
  return request;
}

}  // namespace weft
