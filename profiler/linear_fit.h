#pragma once

#include <span>
#include <vector>

#include "graph/profile_table.h"
#include "graph/sustained_rates.h"

// Fits t(n) = alpha + beta * n, the cost model of a collective or a product (FSMoE, eq. 1 to 4),
// through measured samples. The squared *relative* error is minimised (weights 1/t^2), so that a 20
// us message counts as much as a 20 ms one; alpha and beta are held non-negative. A line is
// accepted by its median relative residual: r2 alone would refuse flat, latency-bound data that a
// line describes perfectly.

namespace weft {

inline constexpr double kMaxMedianRelativeResidual = 0.10;
inline constexpr double kMinSizeRatio = 1.1;

using FitPoint = CostPoint;  // its weight is importance, beside 1/t^2

// Whether a slope can be told from noise: the largest size is beyond kMinSizeRatio times the
// smallest.
bool SlopeIsKnown(double least_size, double most_size);

// (fit - t) / t: +0.3 where the line promises 30% more time than was measured. REQUIRES:
// point.seconds > 0.
double RelativeResidual(const LinearCost& fit, const FitPoint& point);

// Points that carry nothing (seconds or weight not positive, size negative, anything not finite)
// are left out. Without a point the result is all zeros; when no slope is known it is the flat line
// through them. Neither is accepted. `r2` is that of the weighted problem: 1 - sum(w (t - fit)^2) /
// sum(w (t - mean)^2); it is near 0 for flat data and below 0 when a clamped line is worse than the
// mean.
LinearCost FitLine(std::span<const FitPoint> points);

// Sizes of one quarter octave fall into one bucket; -1 for size 0.
int SizeBucketOf(double size);

// What a step pays on average. Of a collective: the median of the samples of each distinct size (a
// descheduled repetition moves nothing; its length is already the last-arriving member's), at rates
// that can be sustained (SustainRates). Of computation: the mean of each size bucket, because ranks
// that share cores really wait for them, and the median of short tasks would not see it. Points are
// weighted by their samples.
std::vector<FitPoint> PointsOf(const CostKey& key, std::span<const CostSample> samples);

// Sorts every entry's samples by size and fits a line through PointsOf them.
void FitTable(ProfileTable& table);

}  // namespace weft
