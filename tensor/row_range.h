#pragma once

#include <cstdint>

namespace weft {

// Rows [begin, end).
struct RowRange {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t count() const { return end - begin; }
  friend bool operator==(const RowRange&, const RowRange&) = default;
};

// Chunk i of r of n rows: rows [i * n / r, (i + 1) * n / r).
inline RowRange ChunkOf(int64_t n, int32_t i, int32_t r) { return {n * i / r, n * (i + 1) / r}; }

}  // namespace weft
