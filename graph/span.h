#pragma once

#include <cstdint>
#include <vector>

namespace weft {

// One executed (or simulated) task on one rank. `task` indexes Plan::tasks of `epoch`.
struct Span {
  int64_t step = 0;
  int64_t epoch = 0;
  int32_t rank = 0;
  int32_t task = 0;
  int64_t begin_nanos = 0;  // monotonic clock; a simulation starts at 0
  int64_t end_nanos = 0;
  double size = 0;  // the regressor as it really was (rows that really travelled)
};

using Trace = std::vector<Span>;

}  // namespace weft
