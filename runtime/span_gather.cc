#include "runtime/span_gather.h"

#include <cstring>
#include <type_traits>

#include "base/status_macros.h"

namespace weft {

static_assert(std::is_trivially_copyable_v<Span>);

absl::StatusOr<StepSpans> GatherSpans(Communicator& control, const StepReport& report) {
  const size_t count = report.spans.size();
  std::vector<Span> all(count * static_cast<size_t>(control.size()));
  const auto bytes = static_cast<int64_t>(count * sizeof(Span));
  WEFT_RETURN_IF_ERROR(control.AllGather({report.spans.data(), DType::kU8, {bytes}},
                                         {all.data(), DType::kU8, {bytes * control.size()}}));
  StepSpans spans;
  spans.step = report.step;
  for (size_t rank = 0; rank < static_cast<size_t>(control.size()); ++rank) {
    const auto first = all.begin() + static_cast<std::ptrdiff_t>(rank * count);
    spans.by_rank.emplace_back(first, first + static_cast<std::ptrdiff_t>(count));
  }
  return spans;
}

}  // namespace weft
