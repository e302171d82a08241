#pragma once

#include <cstdint>

namespace weft {

// Rows [from, from + count) of one tensor, which are rows [to, to + count) of another.
struct RowBlock {
  int64_t from = 0;
  int64_t to = 0;
  int64_t count = 0;
};

}  // namespace weft
