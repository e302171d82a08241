#pragma once

#include <cstdint>
#include <numeric>
#include <span>

#include "base/check.h"
#include "tensor/view.h"

namespace weft {

// The bytes of one row: of everything behind the first dimension. REQUIRES: there is a first
// dimension.
inline int64_t RowBytes(const ConstTensorView& view) {
  WEFT_CHECK(view.shape.rank() >= 1, "rows need a dimension");
  int64_t bytes = SizeOf(view.dtype);
  for (int i = 1; i < view.shape.rank(); ++i) bytes *= view.dim(i);
  return bytes;
}

inline int64_t TotalRows(std::span<const int64_t> rows) {
  return std::accumulate(rows.begin(), rows.end(), int64_t{0});
}

}  // namespace weft
