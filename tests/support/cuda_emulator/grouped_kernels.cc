#include "tensor/kernels/cuda/grouped_kernels.h"

#include <atomic>

#include "base/check.h"
#include "tests/support/cuda_emulator/emulated_device.h"

// Stands for CUTLASS's grouped kernels on the emulator: plain loops over the arrays that they read,
// with sums in another order than those of single products.

namespace weft {
namespace {

std::atomic<int64_t> launches = 0;

constexpr unsigned kThreads = 32;
constexpr int32_t kDepth = 64;  // of k, whose products are added up first
constexpr int64_t kWorkspaceBytes = 1 << 10;

bool Multiple(const void* data) { return reinterpret_cast<uintptr_t>(data) % 16 == 0; }

float Sum(GroupedProduct product, const GroupedOperands& operands, int32_t group, int64_t i,
          int64_t j) {
  const BFloat16* const a = operands.a[group];
  const BFloat16* const b = operands.b[group];
  const int64_t a_row = operands.a_row[group];
  const int64_t b_row = operands.b_row[group];
  const int32_t k = operands.sizes[group].k;
  float sum = 0;
  for (int32_t begin = 0; begin < k; begin += kDepth) {
    float part = 0;
    for (int32_t l = begin; l < k && l < begin + kDepth; ++l) {
      const BFloat16 left =
          product == GroupedProduct::kTransposeA ? a[l * a_row + i] : a[i * a_row + l];
      const BFloat16 right =
          product == GroupedProduct::kTransposeB ? b[j * b_row + l] : b[l * b_row + j];
      part += left.ToFloat() * right.ToFloat();
    }
    sum += part;
  }
  return sum;
}

void GroupsKernel(GroupedProduct product, GroupedOperands operands, char* workspace) {
  workspace[kWorkspaceBytes - 1] = 0;
  const auto group = static_cast<int32_t>(blockIdx.x);
  const GroupSize size = operands.sizes[group];
  if (size.m == 0) return;
  WEFT_CHECK(size.k > 0 && Multiple(operands.a[group]) && Multiple(operands.b[group]) &&
                 Multiple(operands.c[group]),
             "a group with a tile has a sum, at multiples of 16 bytes");
  const int64_t c_row = operands.c_row[group];
  for (int64_t i = threadIdx.x; i < size.m; i += kThreads) {
    for (int64_t j = 0; j < size.n; ++j) {
      const float sum = Sum(product, operands, group, i, j);
      if (product == GroupedProduct::kTransposeA) {
        static_cast<float*>(operands.c[group])[i * c_row + j] += sum;
      } else {
        static_cast<BFloat16*>(operands.c[group])[i * c_row + j] = BFloat16::FromFloat(sum);
      }
    }
  }
}

}  // namespace

const char* GroupedKernelName() { return "plain loops in the place of CUTLASS"; }

int64_t GroupedWorkspaceBytes(GroupedProduct /*product*/, int /*multiprocessors*/) {
  return kWorkspaceBytes;
}

cudaError_t LaunchGrouped(GroupedProduct product, const GroupedOperands& operands,
                          int /*multiprocessors*/, void* workspace, cudaStream_t stream) {
  ++launches;
  cudaLaunchConfig_t config{};
  config.gridDim = static_cast<unsigned>(operands.groups);
  config.blockDim = kThreads;
  config.stream = stream;
  return cudaLaunchKernelEx(&config, GroupsKernel, product, operands,
                            static_cast<char*>(workspace));
}

}  // namespace weft

namespace cuda_emulator {

int64_t GroupedLaunches() { return weft::launches; }

}  // namespace cuda_emulator
