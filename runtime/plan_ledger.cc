#include "runtime/plan_ledger.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"

namespace weft {

absl::Status PlanLedger::Prepare(int64_t epoch, const std::string& plan_json) {
  if (epoch <= installed_) {
    return absl::InvalidArgumentError(
        absl::StrCat("plan epoch ", epoch, " is not newer than the installed epoch ", installed_));
  }
  WEFT_ASSIGN_OR_RETURN(Plan plan, PlanFromJson(*graph_, plan_json));
  if (plan.epoch != epoch) {
    return absl::InvalidArgumentError(
        absl::StrCat("plan says epoch ", plan.epoch, ", announced was ", epoch));
  }
  WEFT_RETURN_IF_ERROR(ValidatePlan(*graph_, plan));
  prepared_[epoch] = std::make_shared<const Plan>(std::move(plan));
  return absl::OkStatus();
}

int64_t PlanLedger::prepared_epoch() const {
  return prepared_.empty() ? installed_ : prepared_.rbegin()->first;
}

std::shared_ptr<const Plan> PlanLedger::TakeAgreed(int64_t agreed_epoch) {
  if (agreed_epoch <= installed_) return nullptr;
  const auto it = prepared_.find(agreed_epoch);
  WEFT_CHECK(it != prepared_.end(), "ranks agree on an epoch that this rank prepared");
  std::shared_ptr<const Plan> plan = it->second;
  prepared_.erase(prepared_.begin(), std::next(it));
  installed_ = agreed_epoch;
  return plan;
}

}  // namespace weft
