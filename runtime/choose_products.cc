#include "runtime/choose_products.h"

#include <algorithm>
#include <cstdint>
#include <memory>

#include "base/check.h"
#include "base/status_macros.h"
#include "runtime/calibration_block.h"
#include "runtime/statistics.h"

namespace weft {
namespace {

constexpr int32_t kWarmUpRounds = 1;
constexpr int32_t kRounds = 5;
constexpr int32_t kDegrees[] = {1, 4};  // whole, and cut: smaller groups

}  // namespace

double ExpertSeconds(std::span<const KeyedSample> samples) {
  double seconds = 0;
  for (const KeyedSample& keyed : samples) {
    const OpKind kind = keyed.key.kind;
    if (kind == OpKind::kExpert || kind == OpKind::kExpertWgrad) seconds += keyed.sample.seconds;
  }
  return seconds;
}

std::vector<MeasuredProducts> RankProducts(std::span<const GroupedMethod> methods,
                                           std::span<const std::vector<double>> rounds) {
  WEFT_CHECK(methods.size() == rounds.size(), "every way has rounds");
  std::vector<MeasuredProducts> ranked;
  for (size_t i = 0; i < methods.size(); ++i) ranked.push_back({methods[i], Median(rounds[i])});
  std::stable_sort(
      ranked.begin(), ranked.end(),
      [](const MeasuredProducts& a, const MeasuredProducts& b) { return a.seconds < b.seconds; });
  return ranked;
}

absl::StatusOr<std::vector<MeasuredProducts>> ChooseProducts(Backend& backend, Worker& worker) {
  Kernels& kernels = worker.kernels();
  const std::span<const GroupedMethod> methods = kernels.grouped_methods();
  std::vector<std::vector<double>> rounds(methods.size());
  if (methods.size() > 1) {
    WEFT_ASSIGN_OR_RETURN(const std::unique_ptr<CalibrationBlock> block,
                          CalibrationBlock::Connect(backend, kernels, worker.options()));
    for (int32_t round = 0; round < kWarmUpRounds + kRounds; ++round) {
      for (size_t i = 0; i < methods.size(); ++i) {
        kernels.UseGroupedMethod(methods[i]);
        double seconds = 0;
        for (const int32_t degree : kDegrees) {
          WEFT_ASSIGN_OR_RETURN(
              const std::vector<KeyedSample> samples,
              block->Measure({.forward = degree, .backward = degree, .streams = 1}));
          seconds += ExpertSeconds(samples);
        }
        if (round >= kWarmUpRounds) rounds[i].push_back(seconds);
      }
    }
  }
  std::vector<MeasuredProducts> ranked = RankProducts(methods, rounds);
  kernels.UseGroupedMethod(ranked.front().method);
  return ranked;
}

}  // namespace weft
