#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <type_traits>

#include "cute/tensor.hpp"
#include "cutlass/cutlass.h"
#include "cutlass/device_kernel.h"
#include "cutlass/epilogue/collective/collective_builder.hpp"
#include "cutlass/epilogue/fusion/operations.hpp"
#include "cutlass/gemm/collective/builders/sm90_gmma_builder.inl"
#include "cutlass/gemm/collective/collective_builder_decl.hpp"
#include "cutlass/gemm/collective/collective_mma_decl.hpp"
#include "cutlass/gemm/collective/sm90_mma_array_tma_gmma_ss_warpspecialized.hpp"
#include "cutlass/gemm/dispatch_policy.hpp"
#include "cutlass/gemm/gemm.h"
#include "cutlass/gemm/group_array_problem_shape.hpp"
#include "cutlass/gemm/kernel/gemm_universal_decl.h"
#include "cutlass/gemm/kernel/sm90_gemm_array_tma_warpspecialized_cooperative.hpp"
#include "tensor/kernels/cuda/grouped_kernels.h"

// One of CUTLASS's grouped kernels for Hopper as a function of GroupedOperands. Each instance is
// compiled in a file of its own.

namespace weft {

// Tiles of c that a cluster of two blocks computes side by side, 64 of k at a time: two groups of
// warps multiply a block's tile, another one loads (TMA). Persistent blocks take tiles in a fixed
// order and never share one: no stream-k, no split of k, no atomics.
template <typename TileShape, typename LayoutOfA, typename LayoutOfB, typename Output,
          bool kAccumulate>
class GroupedKernel {
  using Element = cutlass::bfloat16_t;
  using ClusterShape = cute::Shape<cute::_2, cute::_1, cute::_1>;
  using LayoutOfC = cutlass::layout::RowMajor;
  static constexpr int kAlignment = 16 / sizeof(Element);
  static constexpr int kOutputAlignment = 16 / sizeof(Output);

  using ProblemShape = cutlass::gemm::GroupProblemShape<cute::Shape<int, int, int>>;
  using Source = std::conditional_t<kAccumulate, Output, void>;
  using Epilogue = typename cutlass::epilogue::collective::CollectiveBuilder<
      cutlass::arch::Sm90, cutlass::arch::OpClassTensorOp, TileShape, ClusterShape,
      cutlass::epilogue::collective::EpilogueTileAuto, float, float, Source, LayoutOfC*,
      kOutputAlignment, Output, LayoutOfC*, kOutputAlignment,
      cutlass::epilogue::PtrArrayTmaWarpSpecializedCooperative,
      cutlass::epilogue::fusion::LinearCombination<Output, float, Source>>::CollectiveOp;
  using Mainloop = typename cutlass::gemm::collective::CollectiveBuilder<
      cutlass::arch::Sm90, cutlass::arch::OpClassTensorOp, Element, LayoutOfA*, kAlignment, Element,
      LayoutOfB*, kAlignment, float, TileShape, ClusterShape,
      cutlass::gemm::collective::StageCountAutoCarveout<static_cast<int>(
          sizeof(typename Epilogue::SharedStorage))>,
      cutlass::gemm::KernelPtrArrayTmaWarpSpecializedCooperative>::CollectiveOp;
  using Kernel = cutlass::gemm::kernel::GemmUniversal<ProblemShape, Mainloop, Epilogue>;

  // What our arrays are read as.
  using Size = typename ProblemShape::UnderlyingProblemShape;
  static_assert(sizeof(Size) == sizeof(GroupSize));
  static_assert(std::bit_cast<std::array<int32_t, 3>>(Size{1, 2, 3}) ==
                std::array<int32_t, 3>{1, 2, 3});
  using StrideA = typename Kernel::InternalStrideA;
  using StrideB = typename Kernel::InternalStrideB;
  using StrideC = typename Kernel::InternalStrideC;
  using StrideD = typename Kernel::InternalStrideD;
  static_assert(sizeof(StrideA) == sizeof(int64_t) && sizeof(StrideB) == sizeof(int64_t) &&
                sizeof(StrideD) == sizeof(int64_t));

 public:
  static int64_t WorkspaceBytes(int multiprocessors) {
    return static_cast<int64_t>(Kernel::get_workspace_size(Arguments({}, multiprocessors)));
  }

  static cudaError_t Run(const GroupedOperands& operands, int multiprocessors, void* workspace,
                         cudaStream_t stream) {
    const typename Kernel::Arguments arguments = Arguments(operands, multiprocessors);
    if (!Kernel::can_implement(arguments)) return cudaErrorInvalidValue;
    if (Kernel::initialize_workspace(arguments, workspace, stream) != cutlass::Status::kSuccess) {
      return cudaErrorInvalidValue;
    }
    const typename Kernel::Params params = Kernel::to_underlying_arguments(arguments, workspace);
    const auto kernel = &cutlass::device_kernel<Kernel>;
    const cudaError_t sized = cudaFuncSetAttribute(
        kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, Kernel::SharedStorageSize);
    if (sized != cudaSuccess) return sized;
    cudaLaunchAttribute cluster{};
    cluster.id = cudaLaunchAttributeClusterDimension;
    cluster.val.clusterDim = {cute::size<0>(ClusterShape{}), cute::size<1>(ClusterShape{}), 1};
    cudaLaunchConfig_t config{};
    config.gridDim = Kernel::get_grid_shape(params);
    config.blockDim = Kernel::get_block_shape();
    config.dynamicSmemBytes = Kernel::SharedStorageSize;
    config.stream = stream;
    config.attrs = &cluster;
    config.numAttrs = 1;
    return cudaLaunchKernelEx(&config, kernel, params);
  }

 private:
  static typename Kernel::Arguments Arguments(const GroupedOperands& operands,
                                              int multiprocessors) {
    typename Kernel::Arguments arguments{};
    arguments.mode = cutlass::gemm::GemmUniversalMode::kGrouped;
    // Sizes stay on the device: as many blocks as fit, and those without a tile return.
    arguments.problem_shape = {
        operands.groups, reinterpret_cast<Size*>(const_cast<GroupSize*>(operands.sizes)), nullptr};
    arguments.mainloop.ptr_A = reinterpret_cast<const Element**>(operands.a);
    arguments.mainloop.dA = reinterpret_cast<StrideA*>(operands.a_row);
    arguments.mainloop.ptr_B = reinterpret_cast<const Element**>(operands.b);
    arguments.mainloop.dB = reinterpret_cast<StrideB*>(operands.b_row);
    if constexpr (kAccumulate) {
      arguments.epilogue.ptr_C = const_cast<const Output**>(reinterpret_cast<Output**>(operands.c));
      arguments.epilogue.dC = reinterpret_cast<StrideC*>(operands.c_row);
    }
    arguments.epilogue.ptr_D = reinterpret_cast<Output**>(operands.c);
    arguments.epilogue.dD = reinterpret_cast<StrideD*>(operands.c_row);
    arguments.epilogue.thread.alpha = 1.0f;
    arguments.epilogue.thread.beta = kAccumulate ? 1.0f : 0.0f;
    arguments.hw_info.sm_count = multiprocessors;
    return arguments;
  }
};

}  // namespace weft
