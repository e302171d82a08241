#include <algorithm>

#include "tensor/device/cuda/launch.h"
#include "tensor/kernels/check_args.h"
#include "tensor/kernels/cuda/column_sums.h"
#include "tensor/kernels/cuda/cuda_kernels.h"
#include "tensor/kernels/cuda/dispatch.h"
#include "tensor/kernels/cuda/map.h"
#include "tensor/kernels/cuda/reduce.h"
#include "tensor/kernels/cuda/row_grid.h"

namespace weft {
namespace {

constexpr unsigned kThreads = 256;
// Blocks of a sum over everything: a number that does not depend on the device, so that its bits do
// not.
constexpr unsigned kSumBlocks = 512;

struct Sum {
  __device__ float operator()(float a, float b) const { return a + b; }
};

struct Times {
  float factor;
  __device__ float operator()(float x) const { return factor * x; }
};

struct Same {
  __device__ float operator()(float x) const { return x; }
};

template <typename T, int kPack>
__global__ void AddBiasKernel(const T* bias, T* x, int64_t rows, int width) {
  const int64_t row = GridRow();
  const int column = GridColumn(kPack);
  if (row >= rows || column >= width) return;
  T* const at = x + row * width + column;
  Pack<kPack> values = Load<kPack>(at);
  AddTo(values, Load<kPack>(bias + column));
  Store(values, at);
}

template <typename T>
struct BiasTerm {
  const T* dy;
  int width;

  template <int kPack>
  __device__ void operator()(int64_t row, int column, Pack<kPack> (&sums)[1]) const {
    AddTo(sums[0], Load<kPack>(dy + row * width + column));
  }
};

template <bool kAligned>
__global__ void SquaresKernel(const float* x, int64_t elements, double* parts) {
  constexpr int kPack = kVector<float>;
  __shared__ double warps[kThreads / kWarp];
  const int64_t thread = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  const int64_t packs = elements / kPack;
  double sum = 0;
#pragma unroll 4
  for (int64_t pack = thread; pack < packs; pack += int64_t{kSumBlocks} * kThreads) {
    const Pack<kPack> values = Load<kPack, kAligned>(x + pack * kPack);
#pragma unroll
    for (int i = 0; i < kPack; ++i) sum += static_cast<double>(values.at[i]) * values.at[i];
  }
  if (thread < elements % kPack) {
    const double value = x[packs * kPack + thread];
    sum += value * value;
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

template <int kPack, typename From, typename To>
void ConvertPacks(CudaQueue& queue, const ConstTensorView& from, const TensorView& to) {
  const int64_t n = to.elements();
  Launch(queue, "Convert", GroupsOf(n, kPack * kMapThreads), kMapThreads,
         UnaryKernel<kPack, Same, From, To>, Same{}, from.as<From>(), to.as<To>(), n);
}

template <typename From, typename To>
void ConvertElements(CudaQueue& queue, const ConstTensorView& from, const TensorView& to) {
  if (WideAccess<float>(0, {from.data, to.data})) {
    ConvertPacks<kVector<float>, From, To>(queue, from, to);
  } else {
    ConvertPacks<1, From, To>(queue, from, to);
  }
}

}  // namespace

void CudaKernels::AddBias(ConstTensorView bias, TensorView x) {
  CheckBias(bias, x);
  const int64_t rows = x.dim(0), width = x.dim(1);
  if (x.elements() == 0) return;
  WithPacks(x.dtype, width, {bias.data, x.data}, [&]<typename T, int kPack>() {
    const RowGrid over = GridOfRows(rows, width / kPack);
    Launch(queue_, "AddBias", over.grid, over.block, AddBiasKernel<T, kPack>, bias.as<T>(),
           x.as<T>(), rows, static_cast<int>(width));
  });
}

void CudaKernels::BiasBackward(ConstTensorView dy, TensorView d_bias) {
  CheckBias(d_bias, dy);
  const int64_t rows = dy.dim(0), width = dy.dim(1);
  if (dy.elements() == 0) return;
  WithPacks(dy.dtype, width, {dy.data}, [&]<typename T, int kPack>() {
    AddColumnSums<kPack>(queue_, scratch_, "BiasBackward", rows, width,
                         BiasTerm<T>{dy.as<T>(), static_cast<int>(width)},
                         ColumnTotals<1>{{d_bias.as<float>()}});
  });
}

void CudaKernels::Add(ConstTensorView a, ConstTensorView b, TensorView y) {
  CheckSameElements(a, b);
  CheckSameElements(a, y);
  Map(queue_, "Add", Sum{}, a, b, y);
}

void CudaKernels::Scale(float factor, TensorView x) {
  CheckRowsType(x);
  Map(queue_, "Scale", Times{factor}, x, x);
}

void CudaKernels::Convert(ConstTensorView from, TensorView to) {
  CheckConvert(from, to);
  if (to.elements() == 0) return;
  if (from.dtype == to.dtype) {
    memory_.Copy(from, to);
  } else if (to.dtype == DType::kBF16) {
    ConvertElements<float, BFloat16>(queue_, from, to);
  } else {
    ConvertElements<BFloat16, float>(queue_, from, to);
  }
}

void CudaKernels::SumOfSquares(ConstTensorView x, TensorView sum) {
  CheckSum(sum);
  const int64_t n = x.elements();
  const unsigned blocks = std::min(GroupsOf(n, kVector<float> * kThreads), kSumBlocks);
  double* const parts = scratch_.Ensure<double>({kSumBlocks}).as<double>();
  Launch(queue_, "SumOfSquares", blocks, kThreads,
         WideAccess<float>(0, {x.data}) ? SquaresKernel<true> : SquaresKernel<false>, x.as<float>(),
         n, parts);
  AddParts(parts, blocks, sum.as<double>());
}

void CudaKernels::AddParts(const double* parts, int64_t count, double* sum) {
  Launch(queue_, "AddParts", count > 0 ? 1 : 0, kThreads, AddPartsKernel, parts, count, sum);
}

}  // namespace weft
