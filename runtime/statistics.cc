#include "runtime/statistics.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/check.h"

namespace weft {

double Median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return 0.5 * (*middle + *std::max_element(values.begin(), middle));
}

double Quantile(std::vector<double> values, double q) {
  WEFT_CHECK(q >= 0 && q <= 1, "a quantile is of a share");
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const double place = q * static_cast<double>(values.size() - 1);
  const auto below = static_cast<size_t>(place);
  const size_t above = std::min(below + 1, values.size() - 1);
  return values[below] + (place - static_cast<double>(below)) * (values[above] - values[below]);
}

double RobustSpread(const std::vector<double>& values) {
  const double median = Median(values);
  std::vector<double> deviations;
  deviations.reserve(values.size());
  for (const double v : values) deviations.push_back(std::abs(v - median));
  return 1.4826 * Median(std::move(deviations));
}

double MedianError(const std::vector<double>& values) {
  if (values.empty()) return 0;
  return std::sqrt(std::numbers::pi / 2 / static_cast<double>(values.size())) *
         RobustSpread(values);
}

}  // namespace weft
