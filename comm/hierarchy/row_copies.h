#pragma once

#include <cstdint>
#include <vector>

#include "comm/hierarchy/exchange_step.h"

namespace weft {

struct RowPlace {
  ExchangeBuffer buffer;
  int64_t row;
};

// Adds a copy to a step's list: nothing for no rows, a longer last copy where this one goes on from
// it on both sides.
inline void AddCopy(RowPlace from, RowPlace to, int64_t rows, std::vector<RowCopy>& copies) {
  if (rows == 0) return;
  if (!copies.empty()) {
    RowCopy& last = copies.back();
    if (last.from == from.buffer && last.from_row + last.rows == from.row && last.to == to.buffer &&
        last.to_row + last.rows == to.row) {
      last.rows += rows;
      return;
    }
  }
  copies.push_back({from.buffer, from.row, to.buffer, to.row, rows});
}

}  // namespace weft
