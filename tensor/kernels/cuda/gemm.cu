#include "tensor/device/cuda/launch.h"
#include "tensor/kernels/cuda/gemm.h"

namespace weft {
namespace {

constexpr int kTile = 64;   // rows and columns of c that a block computes
constexpr int kDepth = 16;  // of k at a time
constexpr int kEach = 4;    // rows and columns of a thread
constexpr unsigned kThreads = (kTile / kEach) * (kTile / kEach);

__device__ __forceinline__ float Widened(float value) { return value; }
__device__ __forceinline__ float Widened(BFloat16 value) { return value.ToFloat(); }
__device__ __forceinline__ void Store(float value, float* to) { *to = value; }
__device__ __forceinline__ void Store(float value, BFloat16* to) {
  *to = BFloat16::FromFloat(value);
}

// op(a)(i, l) = a[i * row + l * column]; the same for b(l, j).
template <typename T>
struct Operand {
  const T* data;
  int64_t row, column;
};

// Every element of c is one sum over l in ascending order, whatever m and n are.
template <typename In, typename Out>
__global__ __launch_bounds__(kThreads) void GemmKernel(Operand<In> a, Operand<In> b, Out* c,
                                                       int64_t m, int64_t k, int64_t n,
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
      const int r = a.column == 1 ? i / kDepth : i % kTile;
      const int l = a.column == 1 ? i % kDepth : i / kTile;
      const bool inside = first_row + r < m && depth + l < k;
      a_tile[l][r] =
          inside ? Widened(a.data[(first_row + r) * a.row + (depth + l) * a.column]) : 0.0f;
    }
    for (int i = static_cast<int>(threadIdx.x); i < kTile * kDepth; i += kThreads) {
      const int j = b.column == 1 ? i % kTile : i / kDepth;
      const int l = b.column == 1 ? i / kTile : i % kDepth;
      const bool inside = first_column + j < n && depth + l < k;
      b_tile[l][j] =
          inside ? Widened(b.data[(depth + l) * b.row + (first_column + j) * b.column]) : 0.0f;
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
      Out* const out = c + at_row * n + at_column;
      Store(accumulate ? Widened(*out) + sums[r][j] : sums[r][j], out);
    }
  }
}

// A view without elements may be of any type.
template <typename T>
const T* Data(const ConstTensorView& view) {
  return view.elements() == 0 ? nullptr : view.as<T>();
}

template <typename In, typename Out>
void RunGemm(CudaQueue& queue, const GemmArgs& args, const GemmShape& shape) {
  const Operand<In> a = {Data<In>(args.a), args.transpose_a ? 1 : shape.k,
                         args.transpose_a ? shape.m : 1};
  const Operand<In> b = {Data<In>(args.b), args.transpose_b ? 1 : shape.n,
                         args.transpose_b ? shape.k : 1};
  Launch(queue, "Gemm", dim3(GroupsOf(shape.m, kTile), GroupsOf(shape.n, kTile)), kThreads,
         GemmKernel<In, Out>, a, b, args.c.as<Out>(), shape.m, shape.k, shape.n, args.accumulate);
}

}  // namespace

void PlainGemm(CudaQueue& queue, const GemmArgs& args, const GemmShape& shape) {
  if (shape.m == 0 || shape.n == 0) return;
  const DType type = shape.k == 0 ? args.c.dtype : args.a.dtype;
  if (type == DType::kF32) {
    RunGemm<float, float>(queue, args, shape);
  } else if (args.c.dtype == DType::kF32) {
    RunGemm<BFloat16, float>(queue, args, shape);
  } else {
    RunGemm<BFloat16, BFloat16>(queue, args, shape);
  }
}

}  // namespace weft
