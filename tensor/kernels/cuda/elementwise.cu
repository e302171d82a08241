#include <algorithm>

#include "tensor/device/cuda/launch.h"
#include "tensor/kernels/check_args.h"
#include "tensor/kernels/cuda/cuda_kernels.h"
#include "tensor/kernels/cuda/reduce.h"

namespace weft {
namespace {

constexpr unsigned kThreads = 256;
// Blocks of a sum over everything: a number that does not depend on the device, so that its bits do
// not.
constexpr unsigned kSumBlocks = 512;
// Threads over columns, and over the rows that a block adds up for each.
constexpr unsigned kColumns = 32;
constexpr unsigned kRowLanes = 8;

__device__ __forceinline__ int64_t GlobalThread() {
  return static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}

__global__ void AddBiasKernel(const float* bias, float* x, int64_t elements, int64_t width) {
  const int64_t i = GlobalThread();
  if (i < elements) x[i] += bias[i % width];
}

__global__ void AddKernel(const float* a, const float* b, float* y, int64_t elements) {
  const int64_t i = GlobalThread();
  if (i < elements) y[i] = a[i] + b[i];
}

__global__ void ScaleKernel(float factor, float* x, int64_t elements) {
  const int64_t i = GlobalThread();
  if (i < elements) x[i] *= factor;
}

__global__ void RoundKernel(const float* from, BFloat16* to, int64_t elements) {
  const int64_t i = GlobalThread();
  if (i < elements) to[i] = BFloat16::FromFloat(from[i]);
}

__global__ void WidenKernel(const BFloat16* from, float* to, int64_t elements) {
  const int64_t i = GlobalThread();
  if (i < elements) to[i] = from[i].ToFloat();
}

__global__ void ColumnSumKernel(const float* dy, float* d_bias, int64_t rows, int64_t width) {
  __shared__ double parts[kRowLanes][kColumns];
  const int64_t column = static_cast<int64_t>(blockIdx.x) * kColumns + threadIdx.x;
  double sum = 0;
  if (column < width) {
    for (int64_t row = threadIdx.y; row < rows; row += kRowLanes) sum += dy[row * width + column];
  }
  parts[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y != 0 || column >= width) return;
  double total = d_bias[column];
  for (unsigned lane = 0; lane < kRowLanes; ++lane) total += parts[lane][threadIdx.x];
  d_bias[column] = static_cast<float>(total);
}

__global__ void SquaresKernel(const float* x, int64_t elements, double* parts) {
  __shared__ double warps[kThreads / kWarp];
  double sum = 0;
  for (int64_t i = GlobalThread(); i < elements; i += int64_t{kSumBlocks} * kThreads) {
    sum += static_cast<double>(x[i]) * x[i];
  }
  sum = BlockSum(sum, warps);
  if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}

__global__ void AddPartsKernel(const double* parts, int64_t count, double* sum) {
  __shared__ double warps[kThreads / kWarp];
  double own = 0;
  for (int64_t i = threadIdx.x; i < count; i += kThreads) own += parts[i];
  own = BlockSum(own, warps);
  if (threadIdx.x == 0) *sum += own;
}

}  // namespace

void CudaKernels::AddBias(ConstTensorView bias, TensorView x) {
  CheckBias(bias, x);
  const int64_t n = x.elements();
  Launch(queue_, "AddBias", GroupsOf(n, kThreads), kThreads, AddBiasKernel, bias.as<float>(),
         x.as<float>(), n, x.dim(1));
}

void CudaKernels::BiasBackward(ConstTensorView dy, TensorView d_bias) {
  CheckBias(d_bias, dy);
  Launch(queue_, "BiasBackward", GroupsOf(dy.dim(1), kColumns), dim3(kColumns, kRowLanes),
         ColumnSumKernel, dy.as<float>(), d_bias.as<float>(), dy.dim(0), dy.dim(1));
}

void CudaKernels::Add(ConstTensorView a, ConstTensorView b, TensorView y) {
  CheckSameElements(a, b);
  CheckSameElements(a, y);
  const int64_t n = y.elements();
  Launch(queue_, "Add", GroupsOf(n, kThreads), kThreads, AddKernel, a.as<float>(), b.as<float>(),
         y.as<float>(), n);
}

void CudaKernels::Scale(float factor, TensorView x) {
  const int64_t n = x.elements();
  Launch(queue_, "Scale", GroupsOf(n, kThreads), kThreads, ScaleKernel, factor, x.as<float>(), n);
}

void CudaKernels::Convert(ConstTensorView from, TensorView to) {
  CheckConvert(from, to);
  const int64_t n = to.elements();
  if (from.dtype == to.dtype) {
    memory_.Copy(from, to);
  } else if (to.dtype == DType::kBF16) {
    Launch(queue_, "Convert", GroupsOf(n, kThreads), kThreads, RoundKernel, from.as<float>(),
           to.as<BFloat16>(), n);
  } else {
    Launch(queue_, "Convert", GroupsOf(n, kThreads), kThreads, WidenKernel, from.as<BFloat16>(),
           to.as<float>(), n);
  }
}

void CudaKernels::SumOfSquares(ConstTensorView x, TensorView sum) {
  CheckSum(sum);
  const int64_t n = x.elements();
  const unsigned blocks = std::min(GroupsOf(n, kThreads), kSumBlocks);
  double* const parts = scratch_.Ensure<double>({kSumBlocks}).as<double>();
  Launch(queue_, "SumOfSquares", blocks, kThreads, SquaresKernel, x.as<float>(), n, parts);
  AddParts(parts, blocks, sum.as<double>());
}

void CudaKernels::AddParts(const double* parts, int64_t count, double* sum) {
  Launch(queue_, "AddParts", count > 0 ? 1 : 0, kThreads, AddPartsKernel, parts, count, sum);
}

}  // namespace weft
