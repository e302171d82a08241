#include "tensor/kernels/reference/reference_kernels.h"

#include "tensor/kernels/mixed_kernels.h"

namespace weft {

std::unique_ptr<Kernels> MakeReferenceKernels() {
  return std::make_unique<MixedKernels>(std::make_unique<ReferenceKernels>());
}

}  // namespace weft
