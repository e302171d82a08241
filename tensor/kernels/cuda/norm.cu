#include "tensor/device/cuda/launch.h"
#include "tensor/kernels/check_args.h"
#include "tensor/kernels/cuda/column_sums.h"
#include "tensor/kernels/cuda/cuda_kernels.h"
#include "tensor/kernels/cuda/dispatch.h"
#include "tensor/kernels/cuda/row_of_threads.h"

// LayerNorm: Ba et al. 2016. RmsNorm: Zhang and Sennrich 2019. The formulas stand in
// kernels/reference/norm.cc. A row is read once, and kept in registers where its width allows it.

namespace weft {
namespace {

template <typename T, int kPack, bool kAligned, int kHeld>
__global__ __launch_bounds__(kMostThreadsOfRow) void NormForwardKernel(
    const T* x, const T* gamma, const T* beta, float epsilon, T* y, float* mean_out,
    float* rstd_out, int64_t rows, int width, bool centered) {
  __shared__ float parts[kMostThreadsOfRow / kWarp];
  const int64_t row = int64_t{blockIdx.x} * blockDim.y + threadIdx.y;
  if (row >= rows) return;
  const int packs = width / kPack;
  const RowOfThreads<T, kPack, kAligned, kHeld> in(x + row * width, packs);
  float mean = 0;
  if (centered) {
    in.Each([&](const Pack<kPack>& values, int /*pack*/) {
#pragma unroll
      for (int i = 0; i < kPack; ++i) mean += values.at[i];
    });
    mean = RowSum(mean, parts) / static_cast<float>(width);
  }
  float square = 0;
  in.Each([&](const Pack<kPack>& values, int /*pack*/) {
#pragma unroll
    for (int i = 0; i < kPack; ++i) {
      const float difference = values.at[i] - mean;
      square = fmaf(difference, difference, square);
    }
  });
  const float rstd = 1.0f / sqrtf(RowSum(square, parts) / static_cast<float>(width) + epsilon);
  T* const out = y + row * width;
  in.Each([&](const Pack<kPack>& values, int pack) {
    const Pack<kPack> scale = Load<kPack, kAligned>(gamma + pack * kPack);
    Pack<kPack> shift = {};
    if (centered) shift = Load<kPack, kAligned>(beta + pack * kPack);
    Pack<kPack> normal;
#pragma unroll
    for (int i = 0; i < kPack; ++i) {
      normal.at[i] = fmaf(scale.at[i], (values.at[i] - mean) * rstd, shift.at[i]);
    }
    Store<kAligned>(normal, out + pack * kPack);
  });
  if (threadIdx.x != 0) return;
  if (centered) mean_out[row] = mean;
  rstd_out[row] = rstd;
}

template <typename T, int kPack, bool kAligned, int kHeld>
__global__ __launch_bounds__(kMostThreadsOfRow) void NormBackwardKernel(
    const T* dy, const T* x, const T* gamma, const float* mean_in, const float* rstd_in, T* dx,
    int64_t rows, int width, bool centered) {
  __shared__ float parts[kMostThreadsOfRow / kWarp];
  const int64_t row = int64_t{blockIdx.x} * blockDim.y + threadIdx.y;
  if (row >= rows) return;
  const int packs = width / kPack;
  const float mean = centered ? mean_in[row] : 0.0f;
  const float rstd = rstd_in[row];
  const RowOfThreads<T, kPack, kAligned, kHeld> in(x + row * width, packs);
  const RowOfThreads<T, kPack, kAligned, kHeld> gradient(dy + row * width, packs);
  // normal = (x - mean) rstd, g = gamma dy.
  const auto scaled = [&](const Pack<kPack>& d, int pack) {
    Pack<kPack> g = Load<kPack, kAligned>(gamma + pack * kPack);
#pragma unroll
    for (int i = 0; i < kPack; ++i) g.at[i] *= d.at[i];
    return g;
  };
  float sum_g = 0;
  float sum_gn = 0;
  in.Each(gradient, [&](const Pack<kPack>& values, const Pack<kPack>& d, int pack) {
    const Pack<kPack> g = scaled(d, pack);
#pragma unroll
    for (int i = 0; i < kPack; ++i) {
      sum_g += g.at[i];
      sum_gn = fmaf(g.at[i], (values.at[i] - mean) * rstd, sum_gn);
    }
  });
  const float mean_g = centered ? RowSum(sum_g, parts) / static_cast<float>(width) : 0.0f;
  const float mean_gn = RowSum(sum_gn, parts) / static_cast<float>(width);
  T* const out = dx + row * width;
  in.Each(gradient, [&](const Pack<kPack>& values, const Pack<kPack>& d, int pack) {
    Pack<kPack> g = scaled(d, pack);
#pragma unroll
    for (int i = 0; i < kPack; ++i) {
      const float normal = (values.at[i] - mean) * rstd;
      g.at[i] = rstd * fmaf(-normal, mean_gn, g.at[i] - mean_g);
    }
    Store<kAligned>(g, out + pack * kPack);
  });
}

// Sums 0: of d_gamma; 1: of d_beta.
template <typename T, int kSums>
struct ParameterTerm {
  const T* dy;
  const T* x;
  const float* mean;  // null: RmsNorm
  const float* rstd;
  int width;

  template <int kPack>
  __device__ void operator()(int64_t row, int column, Pack<kPack> (&sums)[kSums]) const {
    const Pack<kPack> d = Load<kPack>(dy + row * width + column);
    const Pack<kPack> values = Load<kPack>(x + row * width + column);
    const float center = mean == nullptr ? 0.0f : mean[row];
    const float scale = rstd[row];
#pragma unroll
    for (int i = 0; i < kPack; ++i) {
      sums[0].at[i] = fmaf(d.at[i], (values.at[i] - center) * scale, sums[0].at[i]);
      if constexpr (kSums == 2) sums[1].at[i] += d.at[i];
    }
  }
};

}  // namespace

void CudaKernels::NormForward(const NormForwardArgs& args, bool centered) {
  CheckNormForward(args, centered);
  const int64_t rows = args.x.dim(0), width = args.x.dim(1);
  if (rows == 0) return;
  WithRowsOfThreads(
      args.x.dtype, rows, width, {args.x.data, args.gamma.data, args.beta.data, args.y.data},
      [&]<typename T, int kPack, bool kAligned, int kHeld>(dim3 grid, dim3 block) {
        Launch(queue_, "NormForward", grid, block, NormForwardKernel<T, kPack, kAligned, kHeld>,
               args.x.as<T>(), args.gamma.as<T>(), centered ? args.beta.as<T>() : nullptr,
               args.epsilon, args.y.as<T>(), centered ? args.mean.as<float>() : nullptr,
               args.rstd.as<float>(), rows, static_cast<int>(width), centered);
      });
}

void CudaKernels::NormBackward(const NormBackwardArgs& args, bool centered) {
  CheckNormBackward(args, centered);
  const int64_t rows = args.x.dim(0), width = args.x.dim(1);
  if (rows == 0) return;
  if (args.dx.data != nullptr) {
    WithRowsOfThreads(
        args.x.dtype, rows, width, {args.x.data, args.gamma.data, args.dy.data, args.dx.data},
        [&]<typename T, int kPack, bool kAligned, int kHeld>(dim3 grid, dim3 block) {
          Launch(queue_, "NormBackward", grid, block, NormBackwardKernel<T, kPack, kAligned, kHeld>,
                 args.dy.as<T>(), args.x.as<T>(), args.gamma.as<T>(),
                 centered ? args.mean.as<float>() : nullptr, args.rstd.as<float>(), args.dx.as<T>(),
                 rows, static_cast<int>(width), centered);
        });
  }
  if (args.d_gamma.data == nullptr) return;
  WithPacks(args.x.dtype, width, {args.dy.data, args.x.data}, [&]<typename T, int kPack>() {
    const auto add = [&]<int kSums>(const float* mean, const ColumnTotals<kSums>& totals) {
      AddColumnSums<kPack>(queue_, scratch_, "NormParameters", rows, width,
                           ParameterTerm<T, kSums>{args.dy.as<T>(), args.x.as<T>(), mean,
                                                   args.rstd.as<float>(), static_cast<int>(width)},
                           totals);
    };
    if (centered) {
      add(args.mean.as<float>(),
          ColumnTotals<2>{{args.d_gamma.as<float>(), args.d_beta.as<float>()}});
    } else {
      add(nullptr, ColumnTotals<1>{{args.d_gamma.as<float>()}});
    }
  });
}

void CudaKernels::LayerNormForward(const NormForwardArgs& args) { NormForward(args, true); }
void CudaKernels::LayerNormBackward(const NormBackwardArgs& args) { NormBackward(args, true); }
void CudaKernels::RmsNormForward(const NormForwardArgs& args) { NormForward(args, false); }
void CudaKernels::RmsNormBackward(const NormBackwardArgs& args) { NormBackward(args, false); }

}  // namespace weft
