#pragma once

#include <cstdint>
#include <span>

#include "base/dtype.h"
#include "comm/communicator.h"

namespace weft {

// out[i] = ((in[0][i] + in[1][i]) + in[2][i]) + ..., or the maximum (a NaN anywhere gives NaN). The
// order never depends on `elements`, so that a slice of the result is the result of the slice, bit
// for bit. bf16 is added up in fp32 and rounded once. REQUIRES: dtype is f32, bf16, f64 or i64;
// `in` is not empty; `out` is one of the inputs or overlaps none.
void OrderedReduce(std::span<const void* const> in, void* out, int64_t elements, DType dtype,
                   ReduceOp op);

}  // namespace weft
