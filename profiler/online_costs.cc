#include "profiler/online_costs.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/check.h"
#include "profiler/linear_fit.h"

namespace weft {
namespace {

// The drift leaves 1 as if so much weight of calibrated samples stood against the live ones.
constexpr double kDriftPrior = 2;
// Keeps the means of a key that is long unseen alive: only ratios of weights matter there.
constexpr double kMinWeight = 1e-9;
// A live sample counts as at most this many times its bucket's mean.
constexpr double kMostTimesMean = 8;

bool Usable(const CostSample& s) {
  return std::isfinite(s.size) && s.size >= 0 && std::isfinite(s.seconds) && s.seconds > 0;
}

}  // namespace

void OnlineCosts::Mean::Add(double new_size, double new_seconds, double new_weight) {
  weight += new_weight;
  const double share = new_weight / weight;
  size += share * (new_size - size);
  seconds += share * (new_seconds - seconds);
}

OnlineCosts::OnlineCosts(const ProfileTable& calibration, const OnlineOptions& options)
    : options_(options), calibration_(calibration) {
  calibration_.entries.clear();
  WEFT_CHECK(options.half_life_steps > 0, "the half-life is positive");
  WEFT_CHECK(options.max_weight >= 1, "a live bucket may outweigh a calibrated one");
  for (const auto& [key, entry] : calibration.entries) {
    const std::vector<FitPoint> points = PointsOf(key, entry.samples);
    if (points.empty()) continue;
    Costs& costs = costs_[key];
    costs.calibrated = true;
    costs.calibrated_fit = FitLine(points);
    for (const FitPoint& p : points) {
      costs.buckets[SizeBucketOf(p.size)].calibrated.Add(p.size, p.seconds, p.weight);
    }
  }
}

double OnlineCosts::Decay(const Costs& costs, int64_t step) const {
  return std::exp2(-static_cast<double>(step - costs.last_step) / options_.half_life_steps);
}

void OnlineCosts::Record(int64_t step, std::span<const KeyedSample> samples, int32_t sm_limit) {
  WEFT_CHECK(step >= step_, "steps do not decrease");
  step_ = step;
  const Contention& contention = calibration_.ContentionUnder(sm_limit);
  for (const KeyedSample& keyed : samples) {
    CostSample sample = keyed.sample;
    sample.seconds *= contention.AloneShare(keyed.stream, keyed.beside);
    if (!Usable(sample)) continue;
    Costs& costs = costs_[keyed.key];
    if (costs.last_step != step) {
      const double decay = Decay(costs, step);
      for (auto& [index, bucket] : costs.buckets) {
        if (bucket.live.weight > 0) {
          bucket.live.weight = std::max(bucket.live.weight * decay, kMinWeight);
        }
      }
      costs.last_step = step;
    }
    Mean& live = costs.buckets[SizeBucketOf(sample.size)].live;
    // One descheduled task must not rewrite its bucket.
    const double most = live.weight > 0 ? kMostTimesMean * live.seconds : sample.seconds;
    live.Add(sample.size, std::min(sample.seconds, most), 1);
  }
}

// Piecewise linear through the calibrated buckets; outside them the fitted line's shape, through
// the outermost bucket.
double OnlineCosts::CalibratedSeconds(const Costs& costs, double size) const {
  const Mean* below = nullptr;
  const Mean* above = nullptr;
  for (const auto& [index, bucket] : costs.buckets) {
    const Mean& mean = bucket.calibrated;
    if (mean.weight == 0) continue;
    if (mean.size <= size) below = &mean;
    if (mean.size >= size && above == nullptr) above = &mean;
  }
  if (below != nullptr && above != nullptr) {
    const double low = below->seconds;
    if (above->size <= below->size) return low;
    const double share = (size - below->size) / (above->size - below->size);
    return low + share * (above->seconds - low);
  }
  WEFT_CHECK(below != nullptr || above != nullptr, "the key was calibrated");
  const Mean& edge = below != nullptr ? *below : *above;
  const LinearCost& line = costs.calibrated_fit;
  const double at_edge = line.alpha + line.beta * edge.size;
  const double at_size = line.alpha + line.beta * size;
  const double ratio = at_edge > 0 && at_size > 0 ? at_size / at_edge : 1;
  return edge.seconds * ratio;
}

double OnlineCosts::LogDrift(const Costs& costs) const {
  if (!costs.calibrated) return 0;
  const double decay = Decay(costs, step_);
  double sum = 0;
  double weight = kDriftPrior;
  for (const auto& [index, bucket] : costs.buckets) {
    if (bucket.live.weight == 0) continue;
    const double w = bucket.live.weight * decay;
    sum += w * std::log(bucket.live.seconds / CalibratedSeconds(costs, bucket.live.size));
    weight += w;
  }
  return sum / weight;
}

double OnlineCosts::DriftOf(const CostKey& key) const {
  const auto found = costs_.find(key);
  return found == costs_.end() ? 1 : std::exp(LogDrift(found->second));
}

// What `seconds`, calibrated at `size`, are now. A live mean of sizes below tells of the latency,
// and of the rate only as far as its own time is more than latency: a message of eight bytes that
// takes ten times as long does not make a megabyte take ten times as long.
double OnlineCosts::Drifted(const Costs& costs, double size, double seconds) const {
  const double decay = Decay(costs, step_);
  double least = seconds;  // of any calibrated size: about the latency
  for (const auto& [index, bucket] : costs.buckets) {
    if (bucket.calibrated.weight > 0) least = std::min(least, bucket.calibrated.seconds);
  }
  double shift = 0;
  double weight = kDriftPrior;
  for (const auto& [index, bucket] : costs.buckets) {
    if (bucket.live.weight == 0) continue;
    const double w = bucket.live.weight * decay;
    const double there = CalibratedSeconds(costs, bucket.live.size);
    const double excess = bucket.live.seconds - there;
    const double ratio = excess / there;
    if (size <= bucket.live.size || seconds <= there) {
      shift += w * ratio * seconds;
    } else {
      const double of_rate = std::max(0.0, 1 - least / there);
      shift += w * (excess + ratio * of_rate * (seconds - there));
    }
    weight += w;
  }
  return std::max(seconds + shift / weight, 1e-9);
}

CostEntry OnlineCosts::Refresh(const CostKey& key, const Costs& costs) const {
  const double decay = Decay(costs, step_);
  std::vector<FitPoint> points;
  for (const auto& [index, bucket] : costs.buckets) {
    Mean blend;
    if (bucket.calibrated.weight > 0) {
      const Mean& point = bucket.calibrated;
      blend.Add(point.size, Drifted(costs, point.size, point.seconds), 1);
    }
    if (bucket.live.weight > 0) {
      blend.Add(bucket.live.size, bucket.live.seconds,
                std::max(bucket.live.weight * decay, kMinWeight));
    }
    points.push_back({blend.size, blend.seconds, std::min(blend.weight, options_.max_weight)});
  }
  if (key.group != GroupKind::kNone) SustainRates(points);
  CostEntry entry;
  entry.fit = FitLine(points);
  for (const FitPoint& p : points) entry.samples.push_back({p.size, p.seconds});
  return entry;
}

ProfileTable OnlineCosts::Refresh() const {
  ProfileTable table = calibration_;
  for (const auto& [key, costs] : costs_) table.entries[key] = Refresh(key, costs);
  return table;
}

}  // namespace weft
