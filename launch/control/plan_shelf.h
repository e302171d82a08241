#pragma once

#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/coordination.h"

namespace weft {

// A plan above this size cannot be proposed; clients accept messages a little larger.
inline constexpr int64_t kMaxPlanBytes = int64_t{64} << 20;

// Holds the newest plan on its way from rank 0 to all ranks. The coordinator, every node service
// and every client have one; a plan enters it only with the right fingerprint. Not thread-safe.
class PlanShelf {
 public:
  // Replaces the plan. kInvalidArgument unless it is newer than every plan before and of bearable
  // size; kDataLoss when the bytes do not have the fingerprint.
  absl::Status Put(const ProposedPlan& plan);

  int64_t newest_epoch() const { return plan_.has_value() ? plan_->epoch : -1; }

  // The plan of that epoch, which stays. kNotFound when there has been none so far;
  // kFailedPrecondition for any epoch but the newest.
  absl::StatusOr<ProposedPlan> Get(int64_t epoch) const;

  // The newest plan, once.
  std::optional<ProposedPlan> Take();

 private:
  std::optional<ProposedPlan> plan_;
  bool taken_ = false;
};

}  // namespace weft
