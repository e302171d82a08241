#include "runtime/plan_changes.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "base/units.h"

namespace weft {

PlanChanges::PlanChanges(const TuningOptions& options, Replanner& replanner)
    : options_(options), replanner_(replanner) {}

void PlanChanges::Installed(std::shared_ptr<const Plan> plan, double install_seconds) {
  const bool ours = proposed_.has_value() && proposed_->epoch == plan->epoch;
  memory_.Begin(plan);
  history_.Begin(plan, ours ? proposed_->predicted_gain : std::nullopt);
  proposed_.reset();
  trial_ = false;
  replanner_.Live(plan->placements.homes);
  running_ = std::move(plan);
  install_seconds_ = install_seconds;
}

void PlanChanges::Tried(std::shared_ptr<const Plan> plan) {
  replanner_.Live(plan->placements.homes);
  memory_.Begin(std::move(plan));
  trial_ = true;
}

std::vector<ConsideredPlan> PlanChanges::considered() const {
  const auto predict = [this] { return replanner_.PredictSteps(*running_); };
  return ConsideredPlansOf(search_, *running_, predict, memory_, load_);
}

void PlanChanges::Measured(double step_seconds, double fullness) {
  if (!trial_) history_.Record(step_seconds);
  load_ = PlanMemory::BucketOf(fullness);
  memory_.Record(load_, step_seconds);
}

double PlanChanges::SwitchCost() const { return install_seconds_ / options_.replan_every; }

PlanChanges::Proposal PlanChanges::Propose(Plan plan, std::optional<double> predicted_gain,
                                           std::string reason) {
  proposed_ = Proposed{plan.epoch, predicted_gain};
  return {std::move(plan), std::move(reason)};
}

PlanChanges::Proposal PlanChanges::GoBack(const PlanSwitch& judged) {
  Plan plan = *history_.previous();
  std::string reason = absl::StrCat(
      "measured: plan ", judged.epoch, " takes ", FormatSeconds(judged.after_seconds),
      " a step where plan ", plan.epoch, " took ", FormatSeconds(judged.before_seconds), ", +- ",
      FormatSeconds(judged.noise_seconds), "; it was predicted to gain ",
      FormatSeconds(judged.predicted_gain));
  plan.epoch = judged.epoch + 1;
  return Propose(std::move(plan), std::nullopt, std::move(reason));
}

PlanChanges::Proposal PlanChanges::BringBack(const PlanMemory::Recalled& recalled) {
  Plan plan = *recalled.plan;
  std::string reason = absl::StrCat(
      "remembered: with the busiest rank at ",
      absl::StrFormat("%.2f to %.2f", PlanMemory::BeginOf(load_), PlanMemory::BeginOf(load_ + 1)),
      " times the mean, plan ", plan.epoch, " took ", FormatSeconds(recalled.seconds),
      " a step and plan ", running_->epoch, " takes ", FormatSeconds(recalled.running_seconds),
      ", +- ", FormatSeconds(recalled.noise_seconds));
  plan.epoch = running_->epoch + 1;
  return Propose(std::move(plan), std::nullopt, std::move(reason));
}

void PlanChanges::BeginPlanning() {
  ReplanTerms terms;
  terms.hysteresis = options_.hysteresis;
  terms.spread_seconds = history_.spread_seconds();
  terms.switch_seconds = SwitchCost();
  terms.model_error = history_.model_error();
  terms.refused = history_.refused();
  replanner_.Refresh();
  planner_.Begin(running_->epoch,
                 [snapshot = replanner_.Snapshot(running_, terms)] { return PlanAnew(snapshot); });
}

absl::StatusOr<PlanChanges::News> PlanChanges::BetweenSteps(bool look) {
  News news;
  WEFT_ASSIGN_OR_RETURN(std::optional<ReplanOutcome> outcome, planner_.Take(running_->epoch));
  if (outcome.has_value()) {
    news.predicted_seconds = outcome->decision.current_seconds;
    Consider(std::move(outcome->search));
    if (outcome->plan.has_value()) {
      news.proposal = Propose(*std::move(outcome->plan), outcome->decision.gain(),
                              std::move(outcome->decision.reason));
    }
  }
  if (!look || planner_.busy() || proposed_.has_value() || !history_.settled()) return news;
  news.judged = history_.Judge(SwitchCost());
  if (news.judged.has_value() && news.judged->undone) {
    news.proposal = GoBack(*news.judged);
  } else if (const auto recalled = memory_.Recall(load_, SwitchCost()); recalled.has_value()) {
    news.proposal = BringBack(*recalled);
  } else {
    BeginPlanning();
  }
  return news;
}

}  // namespace weft
