#pragma once

#include <functional>

#include "tensor/kernels/kernels.h"

// Grouped products as one Gemm after the other: what they mean, and what kernels do that have
// nothing faster.

namespace weft {

// The product of each group that has rows, in their order.
void ForEachGroup(const GroupedGemmArgs& args, const std::function<void(const GemmArgs&)>& product);
void ForEachGroup(const GroupedWgradArgs& args,
                  const std::function<void(const GemmArgs&)>& product);

void GemmOfEachGroup(Kernels& kernels, const GroupedGemmArgs& args);
void WgradOfEachGroup(Kernels& kernels, const GroupedWgradArgs& args);

}  // namespace weft
