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

// One sample of a stream, beside two others.
struct Row {
  double weight = 0;
  double share = 1;  // alone / seconds
  std::array<double, 2> beside{};
};
using Pair = std::array<double, 2>;  // the stretch by each of the others

double Residual(const Row& row, const Pair& x) {
  Contention contention;
  contention.stretch[0] = {0, x[0], x[1]};
  return row.share - contention.AloneShare(StreamKind::kCompute, {0, row.beside[0], row.beside[1]});
}

double Loss(std::span<const Row> rows, const Pair& x) {
  double loss = 0;
  for (const Row& row : rows) loss += row.weight * Residual(row, x) * Residual(row, x);
  return loss;
}

// Least squares over the square [0, kMostRatio - 1]^2, by grids that close in on the best point: no
// sample says more than kMostRatio, and small shares would promise any multiple of it. `seen`:
// which unknowns the samples say something about; the others are 0.
Pair Fit(std::span<const Row> rows, const std::array<bool, 2>& seen) {
  constexpr int kHalf = 6;  // points of a grid on either side of its middle
  constexpr int kGrids = 6;
  constexpr double kMost = kMostRatio - 1;
  Pair best = {seen[0] ? kMost / 2 : 0, seen[1] ? kMost / 2 : 0};
  double least = Loss(rows, best);
  double step = kMost / 2 / kHalf;
  for (int grid = 0; grid < kGrids; ++grid, step /= kHalf / 2) {
    const Pair middle = best;
    for (int i = seen[0] ? -kHalf : 0; i <= (seen[0] ? kHalf : 0); ++i) {
      for (int j = seen[1] ? -kHalf : 0; j <= (seen[1] ? kHalf : 0); ++j) {
        const Pair x = {std::clamp(middle[0] + i * step, 0.0, kMost),
                        std::clamp(middle[1] + j * step, 0.0, kMost)};
        const double loss = Loss(rows, x);
        if (loss >= least) continue;
        least = loss;
        best = x;
      }
    }
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
          {sample.alone_seconds, 1 / ratio, {sample.beside[others[0]], sample.beside[others[1]]}});
    }
    const Pair stretch = FitTwice(std::move(rows));
    for (size_t k = 0; k < 2; ++k) contention.stretch[s][others[k]] = stretch[k];
  }
  return contention;
}

}  // namespace weft
