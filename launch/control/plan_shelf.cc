#include "launch/control/plan_shelf.h"

#include "absl/strings/str_cat.h"
#include "base/fingerprint.h"

namespace weft {

absl::Status PlanShelf::Put(const ProposedPlan& plan) {
  if (plan.epoch <= newest_epoch()) {
    return absl::InvalidArgumentError(
        absl::StrCat("plan epoch ", plan.epoch, " is not newer than epoch ", newest_epoch()));
  }
  if (static_cast<int64_t>(plan.json.size()) > kMaxPlanBytes) {
    return absl::InvalidArgumentError(absl::StrCat("plan epoch ", plan.epoch, " has ",
                                                   plan.json.size(), " bytes; at most ",
                                                   kMaxPlanBytes, " can be sent"));
  }
  if (Fingerprint(plan.json) != plan.fingerprint) {
    return absl::DataLossError(absl::StrCat("plan epoch ", plan.epoch, ": its ", plan.json.size(),
                                            " bytes do not have the announced fingerprint ",
                                            absl::Hex(plan.fingerprint, absl::kZeroPad16)));
  }
  plan_ = plan;
  taken_ = false;
  return absl::OkStatus();
}

absl::StatusOr<ProposedPlan> PlanShelf::Get(int64_t epoch) const {
  if (!plan_.has_value()) return absl::NotFoundError("no plan has been proposed yet");
  if (plan_->epoch != epoch) {
    return absl::FailedPreconditionError(
        absl::StrCat("plan epoch ", epoch, " is not on offer; the newest is epoch ", plan_->epoch));
  }
  return *plan_;
}

std::optional<ProposedPlan> PlanShelf::Take() {
  if (!plan_.has_value() || taken_) return std::nullopt;
  taken_ = true;
  return *plan_;
}

}  // namespace weft
