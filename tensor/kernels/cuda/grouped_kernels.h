#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "base/bfloat16.h"

// The kernels that compute the products of all groups in one launch: CUTLASS's, in cutlass/, where
// its headers were there to build with; on the emulator, plain loops. Free of Abseil: nvcc reads
// it.

namespace weft {

// c(g) [m, n] = op(a(g)) * op(b(g)) (+ c(g)), sums in fp32. A group whose m is 0 is not touched.
struct GroupSize {
  int32_t m = 0, n = 0, k = 0;
};

// Of one launch: everything is on the device, one element a group, and there is at least one group.
// Matrices begin at multiples of 16 bytes, and so does every row of one.
struct GroupedOperands {
  int32_t groups = 0;
  const GroupSize* sizes = nullptr;
  const BFloat16** a = nullptr;
  const BFloat16** b = nullptr;
  void** c = nullptr;
  // Elements from one row of a matrix to the next.
  int64_t* a_row = nullptr;
  int64_t* b_row = nullptr;
  int64_t* c_row = nullptr;
};

enum class GroupedProduct : uint8_t {
  kTransposeB,  // a [m, k], b [n, k], c bf16, overwritten
  kPlain,       // a [m, k], b [k, n], c bf16, overwritten
  kTransposeA,  // a [k, m], b [k, n], c fp32, added to
};

// A kernel in words ("CUTLASS 4.2"), or null: this build has none.
const char* GroupedKernelName();

// Bytes of the device that a launch works with besides; the same for any sizes.
int64_t GroupedWorkspaceBytes(GroupedProduct product, int multiprocessors);

// An element of c is one sum over k in ascending order of blocks, whatever m, the other groups and
// the device's number of multiprocessors are. `workspace`: aligned to 128 bytes.
// REQUIRES: GroupedKernelName() is not null.
cudaError_t LaunchGrouped(GroupedProduct product, const GroupedOperands& operands,
                          int multiprocessors, void* workspace, cudaStream_t stream);

}  // namespace weft
