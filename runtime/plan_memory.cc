#include "runtime/plan_memory.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/check.h"
#include "base/units.h"
#include "runtime/statistics.h"
#include "scheduler/replan.h"

namespace weft {
namespace {

constexpr size_t kEnoughSteps = 8;
constexpr size_t kKeptSteps = 16;
constexpr double kStandardErrors = 3;  // up to which a difference is noise

std::vector<double> Values(const std::deque<double>& seconds) {
  return {seconds.begin(), seconds.end()};
}

}  // namespace

int32_t PlanMemory::BucketOf(double fullness) {
  return std::max(0, static_cast<int32_t>(std::floor(kBucketsPerMean * (fullness - 1))));
}

void PlanMemory::Begin(std::shared_ptr<const Plan> plan) {
  warm_ = false;
  for (const std::shared_ptr<const Plan>& known : plans_) {
    if (!SameTasks(*known, *plan)) continue;
    running_ = known;
    return;
  }
  plans_.push_back(plan);
  running_ = std::move(plan);
}

size_t PlanMemory::IndexOfRunning(int32_t bucket) const {
  const auto found = std::find_if(measured_.begin(), measured_.end(), [&](const Measured& one) {
    return one.plan == running_ && one.bucket == bucket;
  });
  return static_cast<size_t>(found - measured_.begin());
}

void PlanMemory::Record(int32_t bucket, double step_seconds) {
  WEFT_CHECK(running_ != nullptr, "a plan runs");
  if (!std::exchange(warm_, true)) return;
  const size_t index = IndexOfRunning(bucket);
  if (index == measured_.size()) measured_.push_back({running_, bucket, {}});
  std::deque<double>& seconds = measured_[index].seconds;
  seconds.push_back(step_seconds);
  if (seconds.size() > kKeptSteps) seconds.pop_front();
}

std::optional<PlanMemory::Recalled> PlanMemory::Recall(int32_t bucket,
                                                       double switch_seconds) const {
  WEFT_CHECK(running_ != nullptr, "a plan runs");
  const size_t index = IndexOfRunning(bucket);
  if (index == measured_.size() || measured_[index].seconds.size() < kEnoughSteps)
    return std::nullopt;
  const std::vector<double> now = Values(measured_[index].seconds);
  const double running_seconds = Median(now);
  std::optional<Recalled> best;
  for (const Measured& one : measured_) {
    if (one.bucket != bucket || one.plan == running_ || one.seconds.size() < kEnoughSteps) continue;
    const double seconds = Median(Values(one.seconds));
    const double noise = std::hypot(MedianError(Values(one.seconds)), MedianError(now));
    if (running_seconds - seconds <= kStandardErrors * noise + switch_seconds) continue;
    if (!best.has_value() || seconds < best->seconds)
      best = Recalled{one.plan, seconds, running_seconds, noise};
  }
  return best;
}

PlanMemory::Entry PlanMemory::Measured::ToEntry() const {
  return {bucket, plan->epoch, static_cast<int32_t>(seconds.size()), Median(Values(seconds))};
}

std::optional<PlanMemory::Entry> PlanMemory::Find(const Plan& plan, int32_t bucket) const {
  const Measured* nearest = nullptr;
  for (const Measured& one : measured_) {
    if (!SameTasks(*one.plan, plan)) continue;
    if (nearest == nullptr || std::abs(one.bucket - bucket) < std::abs(nearest->bucket - bucket))
      nearest = &one;
  }
  if (nearest == nullptr) return std::nullopt;
  return nearest->ToEntry();
}

std::vector<PlanMemory::Entry> PlanMemory::Entries() const {
  std::vector<Entry> entries;
  for (const Measured& one : measured_) entries.push_back(one.ToEntry());
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::tie(a.bucket, a.seconds, a.epoch) < std::tie(b.bucket, b.seconds, b.epoch);
  });
  return entries;
}

std::string ToTable(const std::vector<PlanMemory::Entry>& entries) {
  if (entries.empty()) return "";
  std::string table =
      "plans as measured, by load (newest steps)\n"
      "  busiest rank's rows by the mean   plan   steps   median step\n";
  for (const PlanMemory::Entry& entry : entries) {
    absl::StrAppend(
        &table, absl::StrFormat("  %-31s  %5d  %6d   %s\n",
                                absl::StrFormat("%.3f to %.3f", PlanMemory::BeginOf(entry.bucket),
                                                PlanMemory::BeginOf(entry.bucket + 1)),
                                entry.epoch, entry.steps, FormatSeconds(entry.seconds)));
  }
  return table;
}

}  // namespace weft
