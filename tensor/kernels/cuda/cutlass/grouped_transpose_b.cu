#include "tensor/kernels/cuda/cutlass/grouped_instances.h"
#include "tensor/kernels/cuda/cutlass/grouped_kernel.h"

namespace weft {
namespace {

using Instance =
    GroupedKernel<cute::Shape<cute::_128, cute::_256, cute::_64>, cutlass::layout::RowMajor,
                  cutlass::layout::ColumnMajor, cutlass::bfloat16_t, false>;

}  // namespace

const GroupedInstance kGroupedTransposeB = {&Instance::WorkspaceBytes, &Instance::Run};

}  // namespace weft
