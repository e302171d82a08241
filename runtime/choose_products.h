#pragma once

#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "profiler/sample.h"
#include "runtime/worker.h"
#include "tensor/kernels/grouped_method.h"

namespace weft {

// A way of computing products of groups, and what it costs.
struct MeasuredProducts {
  GroupedMethod method = GroupedMethod::kOneByOne;
  double seconds = 0;  // of the experts of a calibration step, in both directions
};

// What the experts of a step take, weight gradients included.
double ExpertSeconds(std::span<const KeyedSample> samples);

// The ways by the median of their rounds, the fastest first; equals as they come. rounds[i] are
// those of methods[i].
std::vector<MeasuredProducts> RankProducts(std::span<const GroupedMethod> methods,
                                           std::span<const std::vector<double>> rounds);

// COLLECTIVE. What every way that the worker's kernels know costs with the job's experts, whole and
// cut, the fastest first; the same on all ranks. Ways take turns. The kernels use the fastest from
// now on. A way that is the only one is not measured.
absl::StatusOr<std::vector<MeasuredProducts>> ChooseProducts(Backend& backend, Worker& worker);

}  // namespace weft
