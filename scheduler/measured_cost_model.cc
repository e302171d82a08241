#include "scheduler/measured_cost_model.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/check.h"

namespace weft {
namespace {

// Samples of equal size averaged, then the closest non-decreasing sequence (isotonic regression).
std::vector<CostPoint> MadeMonotone(const std::vector<CostSample>& samples) {
  struct Block {
    double sum = 0;
    int count = 0;
    size_t sizes = 0;  // how many distinct sizes share the mean
    double mean() const { return sum / count; }
  };
  std::vector<double> sizes;
  std::vector<Block> blocks;
  for (size_t i = 0; i < samples.size();) {
    Block block;
    block.sizes = 1;
    sizes.push_back(samples[i].size);
    for (; i < samples.size() && samples[i].size == sizes.back(); ++i) {
      block.sum += samples[i].seconds;
      ++block.count;
    }
    blocks.push_back(block);
    while (blocks.size() > 1 && blocks[blocks.size() - 2].mean() > blocks.back().mean()) {
      const Block last = blocks.back();
      blocks.pop_back();
      blocks.back().sum += last.sum;
      blocks.back().count += last.count;
      blocks.back().sizes += last.sizes;
    }
  }
  std::vector<CostPoint> points;
  for (const Block& block : blocks) {
    for (size_t i = 0; i < block.sizes; ++i) {
      points.push_back({sizes[points.size()], block.mean()});
    }
  }
  return points;
}

}  // namespace

MeasuredCostModel::MeasuredCostModel(const ProfileTable& table,
                                     std::shared_ptr<const CostModel> fallback, size_t min_samples,
                                     int32_t sm_limit)
    : contention_(table.ContentionUnder(sm_limit)), fallback_(std::move(fallback)) {
  WEFT_CHECK(fallback_ != nullptr, "a fallback answers what was not measured");
  for (const auto& [key, entry] : table.entries) {
    if (entry.samples.empty() || entry.samples.size() < min_samples) continue;
    if (key.sm_limit != 0 && key.sm_limit != sm_limit) continue;
    CostKey unlimited = CalibrationKey(key);
    unlimited.sm_limit = 0;
    // The table is sorted: without a limit comes first.
    curves_.insert_or_assign(unlimited, MakeCurve(key, entry));
  }
}

MeasuredCostModel::Curve MeasuredCostModel::MakeCurve(const CostKey& key, const CostEntry& entry) {
  Curve curve;
  curve.line = entry.fit.accepted && entry.fit.alpha >= 0 && entry.fit.beta >= 0;
  curve.spread = entry.fit.median_relative_residual;
  if (curve.line) {
    curve.alpha = entry.fit.alpha;
    curve.beta = entry.fit.beta;
    return curve;
  }
  curve.points = MadeMonotone(entry.samples);
  // The misfit of the line says nothing about the table: what the samples lie off the monotone
  // curve does.
  std::vector<double> residuals;
  size_t point = 0;
  for (const CostSample& sample : entry.samples) {
    while (curve.points[point].size < sample.size) ++point;
    const double smooth = curve.points[point].seconds;
    residuals.push_back(smooth > 0 ? std::abs(sample.seconds - smooth) / smooth : 0);
  }
  std::nth_element(residuals.begin(), residuals.begin() + residuals.size() / 2, residuals.end());
  curve.spread = residuals[residuals.size() / 2];
  if (key.group != GroupKind::kNone) SustainRates(curve.points);
  const size_t n = curve.points.size();
  if (n > 1) {
    // A flat last step must not promise that more bytes are free: at least the slope over all
    // points.
    const auto slope = [&](size_t i, size_t j) {
      return (curve.points[j].seconds - curve.points[i].seconds) /
             (curve.points[j].size - curve.points[i].size);
    };
    curve.slope_beyond = std::max(slope(n - 2, n - 1), slope(0, n - 1));
  } else if (curve.points[0].size > 0) {
    curve.slope_beyond = curve.points[0].seconds / curve.points[0].size;
  }
  return curve;
}

double MeasuredCostModel::Interpolate(const Curve& curve, double size) {
  const std::vector<CostPoint>& points = curve.points;
  if (size <= points.front().size) return points.front().seconds;
  if (size >= points.back().size) {
    return points.back().seconds + (size - points.back().size) * curve.slope_beyond;
  }
  const auto above =
      std::upper_bound(points.begin(), points.end(), size,
                       [](double value, const CostPoint& point) { return value < point.size; });
  const CostPoint& left = *(above - 1);
  const double part = (size - left.size) / (above->size - left.size);
  return left.seconds + part * (above->seconds - left.seconds);
}

CostEstimate MeasuredCostModel::Estimate(const CostKey& key, double size) const {
  CostKey unlimited = CalibrationKey(key);
  unlimited.sm_limit = 0;
  const auto found = curves_.find(unlimited);
  if (found == curves_.end()) return fallback_->Estimate(key, size);
  const Curve& curve = found->second;
  CostEstimate estimate;
  estimate.seconds =
      curve.line ? curve.alpha + curve.beta * std::max(size, 0.0) : Interpolate(curve, size);
  estimate.spread = curve.spread;
  estimate.measured = true;
  return estimate;
}

}  // namespace weft
