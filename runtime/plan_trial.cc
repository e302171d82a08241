#include "runtime/plan_trial.h"

#include <cmath>
#include <utility>

#include "base/check.h"
#include "runtime/statistics.h"

namespace weft {
namespace {

constexpr int64_t kStepsOfBlock = 3;  // one to warm up

}  // namespace

PlanTrial::PlanTrial(std::vector<std::shared_ptr<const Plan>> plans, int32_t rounds)
    : plans_(std::move(plans)), rounds_(rounds), seconds_(plans_.size()) {
  WEFT_CHECK(!plans_.empty() && rounds_ >= 1, "somebody takes part");
}

int64_t PlanTrial::StepsOf(size_t plans, int32_t rounds) {
  return static_cast<int64_t>(plans) * rounds * kStepsOfBlock;
}

size_t PlanTrial::Turn() const {
  WEFT_CHECK(!over(), "the trial goes on");
  const auto block = static_cast<size_t>(step_ / kStepsOfBlock);
  const size_t round = block / plans_.size();
  return RoundOrder(static_cast<int32_t>(round), plans_.size())[block % plans_.size()];
}

void PlanTrial::Record(double seconds) {
  if (step_ % kStepsOfBlock != 0) seconds_[Turn()].push_back(seconds);
  ++step_;
}

double PlanTrial::SecondsOf(size_t plan) const { return Median(seconds_[plan]); }

size_t PlanTrial::Winner() const {
  WEFT_CHECK(over(), "the trial is over");
  size_t fastest = 0;
  for (size_t i = 1; i < plans_.size(); ++i) {
    if (SecondsOf(i) < SecondsOf(fastest)) fastest = i;
  }
  const double noise = std::hypot(MedianError(seconds_[0]), MedianError(seconds_[fastest]));
  return SecondsOf(0) - SecondsOf(fastest) > noise ? fastest : 0;
}

}  // namespace weft
