#pragma once

#include "tensor/kernels/kernels.h"

namespace weft {

// What the implementations for host memory have in common: operations that are memory traffic and
// nothing else, and one that is not worth a loop of its own. Stateless.
class HostKernels : public Kernels {
 public:
  Memory& memory() override { return HostMemory(); }
  void CopyRows(ConstTensorView from, std::span<const RowBlock> blocks, TensorView to) override;
  void BalanceLoss(const BalanceLossArgs& args) override;
};

}  // namespace weft
