#include "runtime/plan_history.h"

#include <cmath>
#include <utility>

#include "base/check.h"
#include "runtime/statistics.h"

namespace weft {
namespace {

constexpr size_t kEnoughSteps = 8;
constexpr size_t kKeptSteps = 64;
constexpr double kPriorError = 0.02;
constexpr double kStandardErrors = 3;  // beyond which a loss is no noise

}  // namespace

bool PlanHistory::Enough(const Measured& measured) {
  return measured.seconds.size() >= kEnoughSteps;
}

void PlanHistory::Begin(std::shared_ptr<const Plan> plan, std::optional<double> predicted_gain) {
  before_ = std::exchange(running_, Measured{std::move(plan), false, {}});
  predicted_gain_ = Enough(before_) ? predicted_gain : std::nullopt;
}

void PlanHistory::Record(double step_seconds) {
  if (!std::exchange(running_.warm, true)) return;
  running_.seconds.push_back(step_seconds);
  if (running_.seconds.size() > kKeptSteps) running_.seconds.pop_front();
}

bool PlanHistory::settled() const { return Enough(running_); }

double PlanHistory::spread_seconds() const {
  return MedianError({running_.seconds.begin(), running_.seconds.end()});
}

std::optional<PlanSwitch> PlanHistory::Judge(double switch_seconds) {
  WEFT_CHECK(settled(), "a plan is judged by enough steps");
  const std::optional<double> predicted = std::exchange(predicted_gain_, std::nullopt);
  if (!predicted.has_value()) return std::nullopt;
  const std::vector<double> before(before_.seconds.begin(), before_.seconds.end());
  const std::vector<double> after(running_.seconds.begin(), running_.seconds.end());
  PlanSwitch judged;
  judged.epoch = running_.plan->epoch;
  judged.predicted_gain = *predicted;
  judged.before_seconds = Median(before);
  judged.after_seconds = Median(after);
  judged.noise_seconds = std::hypot(MedianError(before), MedianError(after));
  judged.undone = -judged.gain() > kStandardErrors * judged.noise_seconds + switch_seconds;
  if (judged.undone) refused_.push_back({running_.plan, -judged.gain()});
  switches_.push_back(judged);
  return judged;
}

double PlanHistory::model_error() const {
  std::vector<double> errors = {kPriorError};
  for (const PlanSwitch& one : switches_) {
    errors.push_back(std::abs(one.gain() - one.predicted_gain) / one.before_seconds);
  }
  return Median(std::move(errors));
}

}  // namespace weft
