#include "profiler/contention.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

namespace weft {
namespace {

constexpr double kLeastBeside = 0.05;
constexpr double kLeastRatio = 0.5;
constexpr double kMostRatio = 4;
constexpr double kKept = 0.9;  // of the samples, in the second fit

// One sample of a stream: `excess` is explained by two others.
struct Row {
  double weight = 0;
  double excess = 0;  // seconds / alone - 1
  std::array<double, 2> beside{};
};
using Pair = std::array<double, 2>;

double Residual(const Row& row, const Pair& x) {
  return row.excess - x[0] * row.beside[0] - x[1] * row.beside[1];
}

double Loss(std::span<const Row> rows, const Pair& x) {
  double loss = 0;
  for (const Row& row : rows) loss += row.weight * Residual(row, x) * Residual(row, x);
  return loss;
}

// Least squares under x >= 0. With two unknowns the active sets are four: both free, one, none.
// `seen`: which unknowns the samples say something about; the others are 0.
Pair Fit(std::span<const Row> rows, const std::array<bool, 2>& seen) {
  double h00 = 0, h01 = 0, h11 = 0, g0 = 0, g1 = 0;
  for (const Row& row : rows) {
    h00 += row.weight * row.beside[0] * row.beside[0];
    h01 += row.weight * row.beside[0] * row.beside[1];
    h11 += row.weight * row.beside[1] * row.beside[1];
    g0 += row.weight * row.beside[0] * row.excess;
    g1 += row.weight * row.beside[1] * row.excess;
  }
  std::vector<Pair> candidates = {{0, 0}};
  if (seen[0] && h00 > 0) candidates.push_back({g0 / h00, 0});
  if (seen[1] && h11 > 0) candidates.push_back({0, g1 / h11});
  // Where both were always busy together, no sum can be told apart: one of them carries it.
  constexpr double kSingular = 1e-9;
  const double determinant = h00 * h11 - h01 * h01;
  if (seen[0] && seen[1] && determinant > kSingular * h00 * h11) {
    candidates.push_back(
        {(g0 * h11 - g1 * h01) / determinant, (g1 * h00 - g0 * h01) / determinant});
  }
  Pair best = candidates.front();
  for (Pair x : candidates) {
    // No sample says more than kMostRatio; small fractions would promise any multiple of it.
    for (double& stretch : x) stretch = std::min(stretch, kMostRatio - 1);
    if (x[0] >= 0 && x[1] >= 0 && Loss(rows, x) < Loss(rows, best)) best = x;
  }
  return best;
}

Pair FitTwice(std::vector<Row> rows) {
  std::array<bool, 2> seen = {};
  for (const Row& row : rows) {
    for (size_t k = 0; k < 2; ++k) seen[k] = seen[k] || row.beside[k] > kLeastBeside;
  }
  if (!seen[0] && !seen[1]) return {};
  const Pair first = Fit(rows, seen);
  const auto kept = static_cast<size_t>(std::ceil(kKept * static_cast<double>(rows.size())));
  std::stable_sort(rows.begin(), rows.end(), [&](const Row& a, const Row& b) {
    return std::abs(Residual(a, first)) < std::abs(Residual(b, first));
  });
  rows.resize(kept);
  return Fit(rows, seen);
}

bool Positive(double seconds) { return std::isfinite(seconds) && seconds > 0; }

}  // namespace

Contention FitContention(std::span<const BesideSample> samples) {
  Contention contention;
  for (size_t s = 0; s < kNumStreams; ++s) {
    const std::array<size_t, 2> others = {s == 0 ? size_t{1} : size_t{0},
                                          s == 2 ? size_t{1} : size_t{2}};
    std::vector<Row> rows;
    for (const BesideSample& sample : samples) {
      if (sample.stream != static_cast<StreamKind>(s) || !Positive(sample.alone_seconds) ||
          !Positive(sample.seconds)) {
        continue;
      }
      const double ratio =
          std::clamp(sample.seconds / sample.alone_seconds, kLeastRatio, kMostRatio);
      rows.push_back(
          {sample.alone_seconds, ratio - 1, {sample.beside[others[0]], sample.beside[others[1]]}});
    }
    const Pair stretch = FitTwice(std::move(rows));
    for (size_t k = 0; k < 2; ++k) contention.stretch[s][others[k]] = stretch[k];
  }
  return contention;
}

}  // namespace weft
