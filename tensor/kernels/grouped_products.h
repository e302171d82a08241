#pragma once

#include "tensor/kernels/kernels.h"

// Grouped products as one Gemm after the other: what they mean, and what kernels do that have
// nothing faster.

namespace weft {

void GemmOfEachGroup(Kernels& kernels, const GroupedGemmArgs& args);
void WgradOfEachGroup(Kernels& kernels, const GroupedWgradArgs& args);

}  // namespace weft
