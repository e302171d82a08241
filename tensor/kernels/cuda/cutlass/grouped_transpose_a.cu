#include "tensor/kernels/cuda/cutlass/grouped_instances.h"
#include "tensor/kernels/cuda/cutlass/grouped_kernel.h"

namespace weft {
namespace {

using Instance =
    GroupedKernel<cute::Shape<cute::_128, cute::_256, cute::_64>, cutlass::layout::ColumnMajor,
                  cutlass::layout::RowMajor, float, true>;

}  // namespace

const GroupedInstance kGroupedTransposeA = {&Instance::WorkspaceBytes, &Instance::Run};

}  // namespace weft
