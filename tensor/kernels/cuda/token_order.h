#pragma once

#include <cstdint>

#include "tensor/device/buffer.h"
#include "tensor/device/cuda/cuda_queue.h"

namespace weft {

// Rows by token: row rows[i] has token tokens[i]; tokens ascend, and the rows of one token do.
struct TokenOrder {
  const int32_t* tokens;
  const int32_t* rows;
};

// The order of `tokens` [count], by a stable radix sort: its work is linear in their number, and
// nothing in it depends on which thread comes first. The result stands in `scratch` until that is
// used again. REQUIRES: 0 <= token < vocabulary, count > 0.
TokenOrder OrderTokens(CudaQueue& queue, Buffer& scratch, const int32_t* tokens, int64_t count,
                       int64_t vocabulary);

}  // namespace weft
