#include "scheduler/plan_draft.h"

#include <algorithm>

namespace weft {

PlanDraft MakeDraft(const StepModel& model) {
  PlanDraft draft;
  draft.slots.resize(model.slots().size());
  draft.all_to_alls.resize(static_cast<size_t>(model.graph().num_layers));
  for (const GradientChain& chain : model.chains()) {
    draft.slices.push_back({DraftSlice{0, chain.elements, OpId{}}});
  }
  return draft;
}

std::vector<std::vector<DraftSlice>> SlicesOf(const StepModel& model, int64_t bytes) {
  constexpr int64_t kBytesPerElement = 4;
  std::vector<std::vector<DraftSlice>> slices;
  for (const GradientChain& chain : model.chains()) {
    const int64_t limit = std::max(bytes / kBytesPerElement, kSliceBoundary);
    const int64_t lines = (chain.elements + kSliceBoundary - 1) / kSliceBoundary;
    const int64_t most = limit / kSliceBoundary;  // lines of a slice
    const int64_t pieces = chain.elements <= limit ? 1 : (lines + most - 1) / most;
    slices.emplace_back();
    int64_t begin = 0;
    for (int64_t i = 1; i <= pieces; ++i) {
      const int64_t end = std::min(lines * i / pieces * kSliceBoundary, chain.elements);
      slices.back().push_back(DraftSlice{begin, end, OpId{}});
      begin = end;
    }
  }
  return slices;
}

std::vector<std::vector<DraftSlice>> SlicesInTwo(const StepModel& model, double share) {
  std::vector<std::vector<DraftSlice>> slices;
  for (const GradientChain& chain : model.chains()) {
    const int64_t lines = chain.elements / kSliceBoundary;
    const int64_t cut = static_cast<int64_t>(share * static_cast<double>(lines)) * kSliceBoundary;
    slices.emplace_back();
    if (cut > 0) slices.back().push_back(DraftSlice{0, cut, OpId{}});
    slices.back().push_back(DraftSlice{cut, chain.elements, OpId{}});
  }
  return slices;
}

}  // namespace weft
