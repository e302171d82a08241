#include "profiler/linear_fit.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <utility>

namespace weft {
namespace {

bool Usable(const FitPoint& p) {
  return std::isfinite(p.size) && p.size >= 0 && std::isfinite(p.seconds) && p.seconds > 0 &&
         std::isfinite(p.weight) && p.weight > 0;
}

// Moments of the weighted problem. Sizes are scaled by the largest, so that 2^60 bytes lose no
// digits.
struct Moments {
  double scale = 1;
  double w = 0, x = 0, y = 0;     // sum of weights; weighted means
  double xx = 0, xy = 0, yy = 0;  // centred
  double raw_xx = 0, raw_xy = 0;  // about the origin
};

Moments MomentsOf(const std::vector<FitPoint>& points, double max_size) {
  Moments m;
  m.scale = max_size > 0 ? max_size : 1;
  const auto weight = [](const FitPoint& p) { return p.weight / (p.seconds * p.seconds); };
  for (const FitPoint& p : points) {
    const double w = weight(p);
    const double x = p.size / m.scale;
    m.w += w;
    m.x += w * x;
    m.y += w * p.seconds;
    m.raw_xx += w * x * x;
    m.raw_xy += w * x * p.seconds;
  }
  m.x /= m.w;
  m.y /= m.w;
  for (const FitPoint& p : points) {
    const double w = weight(p);
    const double dx = p.size / m.scale - m.x;
    const double dy = p.seconds - m.y;
    m.xx += w * dx * dx;
    m.xy += w * dx * dy;
    m.yy += w * dy * dy;
  }
  return m;
}

double SquaredError(const std::vector<FitPoint>& points, double alpha, double beta) {
  double sum = 0;
  for (const FitPoint& p : points) {
    const double relative = (alpha + beta * p.size - p.seconds) / p.seconds;
    sum += p.weight * relative * relative;
  }
  return sum;
}

double MedianResidual(const std::vector<FitPoint>& points, const LinearCost& fit) {
  std::vector<std::pair<double, double>> residuals;  // |relative residual|, weight
  double total = 0;
  for (const FitPoint& p : points) {
    residuals.emplace_back(std::abs(RelativeResidual(fit, p)), p.weight);
    total += p.weight;
  }
  std::sort(residuals.begin(), residuals.end());
  double below = 0;
  for (size_t i = 0; i < residuals.size(); ++i) {
    below += residuals[i].second;
    if (below == total / 2 && i + 1 < residuals.size()) {
      return (residuals[i].first + residuals[i + 1].first) / 2;
    }
    if (below > total / 2) return residuals[i].first;
  }
  return residuals.back().first;
}

std::vector<FitPoint> MediansBySize(std::vector<CostSample> samples) {
  std::sort(samples.begin(), samples.end(), [](const CostSample& a, const CostSample& b) {
    return a.size != b.size ? a.size < b.size : a.seconds < b.seconds;
  });
  std::vector<FitPoint> points;
  for (size_t begin = 0, end = 0; begin < samples.size(); begin = end) {
    while (end < samples.size() && samples[end].size == samples[begin].size) ++end;
    const size_t n = end - begin;
    const double median =
        (samples[begin + (n - 1) / 2].seconds + samples[begin + n / 2].seconds) / 2;
    points.push_back({samples[begin].size, median, static_cast<double>(n)});
  }
  SustainRates(points);
  return points;
}

std::vector<FitPoint> BucketMeans(const std::vector<CostSample>& samples) {
  std::map<int, FitPoint> buckets;
  for (const CostSample& s : samples) {
    FitPoint& mean = buckets.try_emplace(SizeBucketOf(s.size), FitPoint{0, 0, 0}).first->second;
    mean.weight += 1;
    mean.size += (s.size - mean.size) / mean.weight;
    mean.seconds += (s.seconds - mean.seconds) / mean.weight;
  }
  std::vector<FitPoint> points;
  points.reserve(buckets.size());
  for (const auto& [bucket, mean] : buckets) points.push_back(mean);
  return points;
}

}  // namespace

bool SlopeIsKnown(double least_size, double most_size) {
  return most_size > kMinSizeRatio * least_size;
}

double RelativeResidual(const LinearCost& fit, const FitPoint& point) {
  return (fit.alpha + fit.beta * point.size - point.seconds) / point.seconds;
}

LinearCost FitLine(std::span<const FitPoint> points) {
  std::vector<FitPoint> usable;
  std::copy_if(points.begin(), points.end(), std::back_inserter(usable), Usable);
  LinearCost fit;
  if (usable.empty()) return fit;
  const auto by_size = [](const FitPoint& a, const FitPoint& b) { return a.size < b.size; };
  const auto [least, most] = std::minmax_element(usable.begin(), usable.end(), by_size);
  const bool has_slope = SlopeIsKnown(least->size, most->size);
  const Moments m = MomentsOf(usable, most->size);

  fit.alpha = m.y;  // the flat line: beta held at 0
  if (has_slope) {
    const double slope = m.xy / m.xx;
    const double intercept = m.y - slope * m.x;
    if (slope >= 0 && intercept >= 0) {
      fit.alpha = intercept;
      fit.beta = slope / m.scale;
    } else {
      // The minimum lies on an edge of the quadrant: flat, or through the origin.
      const double through_origin = m.raw_xy / m.raw_xx / m.scale;
      if (SquaredError(usable, 0, through_origin) < SquaredError(usable, fit.alpha, 0)) {
        fit.alpha = 0;
        fit.beta = through_origin;
      }
    }
  }
  const double error = SquaredError(usable, fit.alpha, fit.beta);
  fit.r2 = m.yy > 0 ? 1 - error / m.yy : (error > 0 ? 0 : 1);
  fit.median_relative_residual = MedianResidual(usable, fit);
  fit.accepted = has_slope && fit.median_relative_residual <= kMaxMedianRelativeResidual;
  return fit;
}

int SizeBucketOf(double size) {
  constexpr double kBucketsPerOctave = 4;
  if (size <= 0) return -1;
  const double octave = std::log2(std::clamp(size, 1.0, std::ldexp(1.0, 63)));
  return static_cast<int>(std::floor(octave * kBucketsPerOctave));
}

std::vector<FitPoint> PointsOf(const CostKey& key, std::span<const CostSample> samples) {
  std::vector<CostSample> usable;
  for (const CostSample& s : samples) {
    if (Usable(FitPoint{s.size, s.seconds})) usable.push_back(s);
  }
  return key.group == GroupKind::kNone ? BucketMeans(usable) : MediansBySize(std::move(usable));
}

void FitTable(ProfileTable& table) {
  for (auto& [key, entry] : table.entries) {
    std::stable_sort(entry.samples.begin(), entry.samples.end(),
                     [](const CostSample& a, const CostSample& b) { return a.size < b.size; });
    entry.fit = FitLine(PointsOf(key, entry.samples));
  }
}

}  // namespace weft
