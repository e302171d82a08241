#include "tensor/device/cuda/launch.h"
#include "tensor/kernels/check_args.h"
#include "tensor/kernels/cuda/cuda_kernels.h"
#include "tensor/kernels/cuda/reduce.h"

// LayerNorm: Ba et al. 2016. RmsNorm: Zhang and Sennrich 2019. The formulas stand in
// kernels/reference/norm.cc. A warp for each row.

namespace weft {
namespace {

constexpr unsigned kRowsOfBlock = 4;
constexpr unsigned kColumns = 32;
constexpr unsigned kRowLanes = 8;

__global__ void NormForwardKernel(const float* x, const float* gamma, const float* beta,
                                  float epsilon, float* y, float* mean_out, float* rstd_out,
                                  int64_t rows, int64_t width, bool centered) {
  const int64_t row = static_cast<int64_t>(blockIdx.x) * kRowsOfBlock + threadIdx.y;
  if (row >= rows) return;
  const float* const in = x + row * width;
  float* const out = y + row * width;
  double mean = 0;
  if (centered) {
    for (int64_t i = threadIdx.x; i < width; i += kWarp) mean += in[i];
    mean = WarpSum(mean) / static_cast<double>(width);
  }
  double square = 0;
  for (int64_t i = threadIdx.x; i < width; i += kWarp) {
    const double difference = in[i] - mean;
    square += difference * difference;
  }
  const double rstd = 1.0 / sqrt(WarpSum(square) / static_cast<double>(width) + epsilon);
  for (int64_t i = threadIdx.x; i < width; i += kWarp) {
    const double normal = (in[i] - mean) * rstd;
    out[i] = static_cast<float>(gamma[i] * normal + (centered ? beta[i] : 0.0));
  }
  if (threadIdx.x != 0) return;
  if (centered) mean_out[row] = static_cast<float>(mean);
  rstd_out[row] = static_cast<float>(rstd);
}

__global__ void NormBackwardKernel(const float* dy, const float* x, const float* gamma,
                                   const float* mean_in, const float* rstd_in, float* dx,
                                   int64_t rows, int64_t width, bool centered) {
  const int64_t row = static_cast<int64_t>(blockIdx.x) * kRowsOfBlock + threadIdx.y;
  if (row >= rows) return;
  const float* const in = x + row * width;
  const float* const gradient = dy + row * width;
  const double mean = centered ? mean_in[row] : 0.0;
  const double rstd = rstd_in[row];
  double sum_g = 0;
  double sum_gn = 0;
  for (int64_t i = threadIdx.x; i < width; i += kWarp) {
    const double g = static_cast<double>(gamma[i]) * gradient[i];
    sum_g += g;
    sum_gn += g * (in[i] - mean) * rstd;
  }
  const double mean_g = centered ? WarpSum(sum_g) / static_cast<double>(width) : 0.0;
  const double mean_gn = WarpSum(sum_gn) / static_cast<double>(width);
  for (int64_t i = threadIdx.x; i < width; i += kWarp) {
    const double normal = (in[i] - mean) * rstd;
    const double g = static_cast<double>(gamma[i]) * gradient[i];
    dx[row * width + i] = static_cast<float>(rstd * (g - mean_g - normal * mean_gn));
  }
}

__global__ void NormParametersKernel(const float* dy, const float* x, const float* mean_in,
                                     const float* rstd_in, float* d_gamma, float* d_beta,
                                     int64_t rows, int64_t width, bool centered) {
  __shared__ double gammas[kRowLanes][kColumns];
  __shared__ double betas[kRowLanes][kColumns];
  const int64_t column = static_cast<int64_t>(blockIdx.x) * kColumns + threadIdx.x;
  double gamma = 0;
  double beta = 0;
  if (column < width) {
    for (int64_t row = threadIdx.y; row < rows; row += kRowLanes) {
      const double gradient = dy[row * width + column];
      const double mean = centered ? mean_in[row] : 0.0;
      gamma += gradient * (x[row * width + column] - mean) * rstd_in[row];
      beta += gradient;
    }
  }
  gammas[threadIdx.y][threadIdx.x] = gamma;
  betas[threadIdx.y][threadIdx.x] = beta;
  __syncthreads();
  if (threadIdx.y != 0 || column >= width) return;
  gamma = d_gamma[column];
  beta = centered ? d_beta[column] : 0.0;
  for (unsigned lane = 0; lane < kRowLanes; ++lane) {
    gamma += gammas[lane][threadIdx.x];
    beta += betas[lane][threadIdx.x];
  }
  d_gamma[column] = static_cast<float>(gamma);
  if (centered) d_beta[column] = static_cast<float>(beta);
}

template <typename View>
auto FloatsOrNull(const View& view) {
  return view.data == nullptr ? nullptr : view.template as<float>();
}

}  // namespace

void CudaKernels::NormForward(const NormForwardArgs& args, bool centered) {
  CheckNormForward(args, centered);
  const int64_t rows = args.x.dim(0);
  Launch(queue_, "NormForward", GroupsOf(rows, kRowsOfBlock), dim3(kWarp, kRowsOfBlock),
         NormForwardKernel, args.x.as<float>(), args.gamma.as<float>(), FloatsOrNull(args.beta),
         args.epsilon, args.y.as<float>(), FloatsOrNull(args.mean), args.rstd.as<float>(), rows,
         args.x.dim(1), centered);
}

void CudaKernels::NormBackward(const NormBackwardArgs& args, bool centered) {
  CheckNormBackward(args, centered);
  const int64_t rows = args.x.dim(0), width = args.x.dim(1);
  if (args.dx.data != nullptr) {
    Launch(queue_, "NormBackward", GroupsOf(rows, kRowsOfBlock), dim3(kWarp, kRowsOfBlock),
           NormBackwardKernel, args.dy.as<float>(), args.x.as<float>(), args.gamma.as<float>(),
           FloatsOrNull(args.mean), args.rstd.as<float>(), args.dx.as<float>(), rows, width,
           centered);
  }
  if (args.d_gamma.data != nullptr) {
    Launch(queue_, "NormParameters", GroupsOf(width, kColumns), dim3(kColumns, kRowLanes),
           NormParametersKernel, args.dy.as<float>(), args.x.as<float>(), FloatsOrNull(args.mean),
           args.rstd.as<float>(), args.d_gamma.as<float>(), FloatsOrNull(args.d_beta), rows, width,
           centered);
  }
}

void CudaKernels::LayerNormForward(const NormForwardArgs& args) { NormForward(args, true); }
void CudaKernels::LayerNormBackward(const NormBackwardArgs& args) { NormBackward(args, true); }
void CudaKernels::RmsNormForward(const NormForwardArgs& args) { NormForward(args, false); }
void CudaKernels::RmsNormBackward(const NormBackwardArgs& args) { NormBackward(args, false); }

}  // namespace weft
