#pragma once

#include "tensor/kernels/cuda/grouped_kernels.h"

// The instances of GroupedKernel, one a file of this folder. Free of CUTLASS.

namespace weft {

struct GroupedInstance {
  int64_t (*workspace_bytes)(int multiprocessors);
  cudaError_t (*run)(const GroupedOperands& operands, int multiprocessors, void* workspace,
                     cudaStream_t stream);
};

extern const GroupedInstance kGroupedTransposeB;
extern const GroupedInstance kGroupedPlain;
extern const GroupedInstance kGroupedTransposeA;

}  // namespace weft
