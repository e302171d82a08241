#pragma once

#include <vector>

namespace weft {

double Median(std::vector<double> values);  // 0 for none

// The value below which a share `q` of the values lies, linearly between neighbours: the least at
// 0, the median at 0.5, the greatest at 1. 0 for none. REQUIRES: q in [0, 1].
double Quantile(std::vector<double> values, double q);

// Median absolute deviation times 1.4826: the standard deviation of normal values, unmoved by
// outliers.
double RobustSpread(const std::vector<double>& values);

// The standard error of the median of normal values: sqrt(pi / 2) * RobustSpread / sqrt(count). 0
// for none.
double MedianError(const std::vector<double>& values);

}  // namespace weft
