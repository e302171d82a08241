#pragma once

#include "tensor/device/cuda/cuda_queue.h"
#include "tensor/kernels/check_args.h"

// Products on the ordinary cores, with fp32 sums: what is right for every type, shape and address,
// and what runs without a library. Free of Abseil: nvcc reads it.

namespace weft {

// Row-invariant. REQUIRES: `shape` is CheckGemm(args).
void PlainGemm(CudaQueue& queue, const GemmArgs& args, const GemmShape& shape);

}  // namespace weft
