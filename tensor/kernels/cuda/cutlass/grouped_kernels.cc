#include "tensor/kernels/cuda/grouped_kernels.h"

#include "tensor/kernels/cuda/cutlass/grouped_instances.h"

namespace weft {
namespace {

const GroupedInstance& InstanceOf(GroupedProduct product) {
  switch (product) {
    case GroupedProduct::kTransposeB:
      return kGroupedTransposeB;
    case GroupedProduct::kPlain:
      return kGroupedPlain;
    case GroupedProduct::kTransposeA:
      break;
  }
  return kGroupedTransposeA;
}

}  // namespace

const char* GroupedKernelName() { return "CUTLASS " WEFT_CUTLASS_VERSION; }

int64_t GroupedWorkspaceBytes(GroupedProduct product, int multiprocessors) {
  return InstanceOf(product).workspace_bytes(multiprocessors);
}

cudaError_t LaunchGrouped(GroupedProduct product, const GroupedOperands& operands,
                          int multiprocessors, void* workspace, cudaStream_t stream) {
  return InstanceOf(product).run(operands, multiprocessors, workspace, stream);
}

}  // namespace weft
