#include "profiler/residuals.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/units.h"
#include "profiler/linear_fit.h"

namespace weft {
namespace {

constexpr size_t kColumns = 8;
using Row = std::array<std::string, kColumns>;

// "2.0 G" + "FLOP" is "2.0 GFLOP", "512" + "FLOP" is "512 FLOP".
std::string WithUnit(const std::string& count, const char* unit) {
  return absl::StrCat(count, count.find(' ') == std::string::npos ? " " : "", unit);
}

Row RowOf(const CostKey& key, const CostEntry& entry) {
  std::string sizes = "-";
  if (!entry.samples.empty()) {
    sizes = absl::StrCat(FormatSize(key, entry.samples.front().size), " .. ",
                         FormatSize(key, entry.samples.back().size));
  }
  return {ToString(key),
          absl::StrCat(entry.samples.size()),
          sizes,
          FormatSeconds(entry.fit.alpha),
          FormatRate(key, entry.fit.beta),
          absl::StrFormat("%.4f", entry.fit.r2),
          absl::StrFormat("%.1f%%", 100 * entry.fit.median_relative_residual),
          entry.fit.accepted ? "accepted" : absl::StrCat("refused: ", RefusalOf(key, entry))};
}

}  // namespace

SizeUnit SizeUnitOf(const CostKey& key) {
  if (key.group != GroupKind::kNone) return SizeUnit::kBytes;
  switch (key.kind) {
    case OpKind::kAttention:
    case OpKind::kDenseFfn:
    case OpKind::kExpert:
    case OpKind::kHead:
    case OpKind::kExpertWgrad:
    case OpKind::kSharedExpert:
    case OpKind::kSharedExpertWgrad:
    case OpKind::kAttentionWgrad:
      return SizeUnit::kFlops;
    default:
      return SizeUnit::kElements;
  }
}

std::string FormatSize(const CostKey& key, double size) {
  switch (SizeUnitOf(key)) {
    case SizeUnit::kBytes:
      return FormatBytes(size);
    case SizeUnit::kFlops:
      return WithUnit(FormatCount(size), "FLOP");
    case SizeUnit::kElements:
      break;
  }
  return FormatCount(size);
}

std::string FormatRate(const CostKey& key, double beta) {
  return beta > 0 ? absl::StrCat(FormatSize(key, 1 / beta), "/s") : "-";
}

std::string RefusalOf(const CostKey& key, const CostEntry& entry) {
  if (entry.fit.accepted) return "";
  const std::vector<FitPoint> points = PointsOf(key, entry.samples);
  if (points.empty()) return "no usable sample";
  if (points.size() == 1) {
    return absl::StrCat("one size only (", FormatSize(key, points[0].size), "): a line needs two");
  }
  if (!SlopeIsKnown(points.front().size, points.back().size)) {
    return absl::StrCat("sizes ", FormatSize(key, points.front().size), " to ",
                        FormatSize(key, points.back().size), " are too close to tell a slope");
  }
  std::string reason =
      absl::StrFormat("median residual %.1f%% > %.0f%%", 100 * entry.fit.median_relative_residual,
                      100 * kMaxMedianRelativeResidual);
  std::vector<std::pair<double, double>> misfits;  // relative residual, size
  for (const FitPoint& p : points) {
    const double residual = RelativeResidual(entry.fit, p);
    if (std::abs(residual) > kMaxMedianRelativeResidual) misfits.emplace_back(residual, p.size);
  }
  std::stable_sort(misfits.begin(), misfits.end(), [](const auto& a, const auto& b) {
    return std::abs(a.first) > std::abs(b.first);
  });
  if (misfits.size() > 3) misfits.resize(3);
  const char* separator = ": ";
  for (const auto& [residual, size] : misfits) {
    absl::StrAppend(&reason, separator, FormatSize(key, size),
                    absl::StrFormat(" %+.0f%%", 100 * residual));
    separator = ", ";
  }
  return reason;
}

std::string ResidualsTable(const ProfileTable& table) {
  std::vector<Row> rows = {
      {"key", "samples", "sizes", "latency", "rate", "r2", "median residual", "line"}};
  for (const auto& [key, entry] : table.entries) rows.push_back(RowOf(key, entry));
  std::array<size_t, kColumns> widths{};
  for (const Row& row : rows) {
    for (size_t c = 0; c < kColumns; ++c) widths[c] = std::max(widths[c], row[c].size());
  }
  std::string text;
  for (const Row& row : rows) {
    for (size_t c = 0; c + 1 < kColumns; ++c) {
      absl::StrAppend(&text, row[c], std::string(widths[c] - row[c].size() + 2, ' '));
    }
    absl::StrAppend(&text, row[kColumns - 1], "\n");
  }
  return text;
}

}  // namespace weft
