#include "tensor/device/cuda/launch.h"
#include "tensor/kernels/check_args.h"
#include "tensor/kernels/cuda/cuda_kernels.h"
#include "tensor/kernels/cuda/dispatch.h"

// Products in fp32 on the ordinary cores: what is right on a device, and what runs without a
// library.

namespace weft {
namespace {

constexpr int kTile = 64;   // rows and columns of c that a block computes
constexpr int kDepth = 16;  // of k at a time
constexpr int kEach = 4;    // rows and columns of a thread
constexpr unsigned kThreads = (kTile / kEach) * (kTile / kEach);

// op(a)(i, l) = a[i * a_row + l * a_column]; the same for b(l, j). Every element of c is one sum
// over l in ascending order, whatever m and n are.
template <typename T, typename C>
__global__ __launch_bounds__(kThreads) void GemmKernel(const T* a, int64_t a_row, int64_t a_column,
                                                       const T* b, int64_t b_row, int64_t b_column,
                                                       C* c, int64_t m, int64_t k, int64_t n,
                                                       bool accumulate) {
  __shared__ float a_tile[kDepth][kTile + 1];
  __shared__ float b_tile[kDepth][kTile + 1];
  const int64_t first_row = static_cast<int64_t>(blockIdx.x) * kTile;
  const int64_t first_column = static_cast<int64_t>(blockIdx.y) * kTile;
  const int row = static_cast<int>(threadIdx.x) / (kTile / kEach) * kEach;
  const int column = static_cast<int>(threadIdx.x) % (kTile / kEach);  // and + 16, + 32, + 48
  float sums[kEach][kEach] = {};
  for (int64_t depth = 0; depth < k; depth += kDepth) {
    // Neighbouring threads read neighbouring elements, along whichever index these lie.
    for (int i = static_cast<int>(threadIdx.x); i < kTile * kDepth; i += kThreads) {
      const int r = a_column == 1 ? i / kDepth : i % kTile;
      const int l = a_column == 1 ? i % kDepth : i / kTile;
      const bool inside = first_row + r < m && depth + l < k;
      a_tile[l][r] = inside ? ToFloat(a[(first_row + r) * a_row + (depth + l) * a_column]) : 0.0f;
    }
    for (int i = static_cast<int>(threadIdx.x); i < kTile * kDepth; i += kThreads) {
      const int j = b_column == 1 ? i % kTile : i / kDepth;
      const int l = b_column == 1 ? i / kTile : i % kDepth;
      const bool inside = first_column + j < n && depth + l < k;
      b_tile[l][j] =
          inside ? ToFloat(b[(depth + l) * b_row + (first_column + j) * b_column]) : 0.0f;
    }
    __syncthreads();
    for (int l = 0; l < kDepth; ++l) {
      for (int r = 0; r < kEach; ++r) {
        for (int j = 0; j < kEach; ++j) {
          sums[r][j] += a_tile[l][row + r] * b_tile[l][column + j * (kTile / kEach)];
        }
      }
    }
    __syncthreads();
  }
  for (int r = 0; r < kEach; ++r) {
    for (int j = 0; j < kEach; ++j) {
      const int64_t at_row = first_row + row + r;
      const int64_t at_column = first_column + column + j * (kTile / kEach);
      if (at_row >= m || at_column >= n) continue;
      C& out = c[at_row * n + at_column];
      out = FromFloat<C>(accumulate ? ToFloat(out) + sums[r][j] : sums[r][j]);
    }
  }
}

}  // namespace

void CudaKernels::Gemm(const GemmArgs& args) {
  const GemmShape shape = CheckGemm(args);
  const int64_t a_row = args.transpose_a ? 1 : shape.k;
  const int64_t a_column = args.transpose_a ? shape.m : 1;
  const int64_t b_row = args.transpose_b ? 1 : shape.n;
  const int64_t b_column = args.transpose_b ? shape.k : 1;
  if (shape.m == 0 || shape.n == 0) return;
  const auto launch = [&]<typename T, typename C>() {
    Launch(queue_, "Gemm", dim3(GroupsOf(shape.m, kTile), GroupsOf(shape.n, kTile)), kThreads,
           GemmKernel<T, C>, OrNull<T>(args.a), a_row, a_column, OrNull<T>(args.b), b_row, b_column,
           args.c.as<C>(), shape.m, shape.k, shape.n, args.accumulate);
  };
  if (args.c.dtype == DType::kBF16) {
    launch.template operator()<BFloat16, BFloat16>();
  } else if (args.a.dtype == DType::kBF16) {
    launch.template operator()<BFloat16, float>();
  } else {
    launch.template operator()<float, float>();
  }
}

}  // namespace weft
