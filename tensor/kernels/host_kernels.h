#pragma once

#include "tensor/kernels/kernels.h"

namespace weft {

// What the implementations for host memory have in common: operations that are memory traffic and
// nothing else, grouped products one by one, and one that is not worth a loop of its own.
// Stateless. What they do not have is bf16, but for Convert: MixedKernels adds it.
class HostKernels : public Kernels {
 public:
  Memory& memory() override { return HostMemory(); }
  std::span<const GroupedMethod> grouped_methods() const override;  // kOneByOne
  GroupedMethod grouped_method() const override { return GroupedMethod::kOneByOne; }
  void UseGroupedMethod(GroupedMethod method) override;
  void GroupedGemm(const GroupedGemmArgs& args) override;
  void GroupedWgrad(const GroupedWgradArgs& args) override;
  void Convert(ConstTensorView from, TensorView to) override;
  void CopyRows(ConstTensorView from, std::span<const RowBlock> blocks, TensorView to) override;
  void BalanceLoss(const BalanceLossArgs& args) override;
  void AssignRows(const AssignRowsArgs& args) override;
  void PlaceRows(const PlaceRowsArgs& args) override;
};

}  // namespace weft
