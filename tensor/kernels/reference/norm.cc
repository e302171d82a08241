#include <cmath>
#include <vector>

#include "tensor/kernels/check_args.h"
#include "tensor/kernels/reference/reference_kernels.h"

// LayerNorm: y = gamma (x - mean) rstd + beta, rstd = 1 / sqrt(var + epsilon) (Ba et al. 2016).
// RmsNorm: y = gamma x rstd, rstd = 1 / sqrt(mean(x^2) + epsilon) (Zhang and Sennrich 2019).

namespace weft {
namespace {

void Forward(const NormForwardArgs& args, bool centered) {
  const int64_t rows = args.x.dim(0), width = args.x.dim(1);
  const double count = static_cast<double>(width);
  const float* gamma = args.gamma.as<float>();
  for (int64_t row = 0; row < rows; ++row) {
    const float* x = args.x.as<float>() + row * width;
    float* y = args.y.as<float>() + row * width;
    double mean = 0;
    if (centered) {
      for (int64_t i = 0; i < width; ++i) mean += x[i];
      mean /= count;
    }
    double square = 0;
    for (int64_t i = 0; i < width; ++i) square += (x[i] - mean) * (x[i] - mean);
    const double rstd = 1.0 / std::sqrt(square / count + static_cast<double>(args.epsilon));
    for (int64_t i = 0; i < width; ++i) {
      const double beta = centered ? args.beta.as<float>()[i] : 0.0;
      y[i] = static_cast<float>(gamma[i] * (x[i] - mean) * rstd + beta);
    }
    if (centered) args.mean.as<float>()[row] = static_cast<float>(mean);
    args.rstd.as<float>()[row] = static_cast<float>(rstd);
  }
}

// With n = (x - mean) rstd and g = gamma dy: dx = rstd (g - mean(g) - n mean(g n)); RmsNorm has no
// mean(g).
void Backward(const NormBackwardArgs& args, bool centered) {
  const int64_t rows = args.x.dim(0), width = args.x.dim(1);
  const double count = static_cast<double>(width);
  const float* gamma = args.gamma.as<float>();
  std::vector<double> d_gamma(static_cast<size_t>(width)), d_beta(static_cast<size_t>(width));
  for (int64_t row = 0; row < rows; ++row) {
    const float* x = args.x.as<float>() + row * width;
    const float* dy = args.dy.as<float>() + row * width;
    const double mean = centered ? args.mean.as<float>()[row] : 0.0;
    const double rstd = args.rstd.as<float>()[row];
    double sum_g = 0, sum_gn = 0;
    for (int64_t i = 0; i < width; ++i) {
      const double normal = (x[i] - mean) * rstd;
      const double g = static_cast<double>(gamma[i]) * dy[i];
      if (centered) sum_g += g;
      sum_gn += g * normal;
      d_gamma[static_cast<size_t>(i)] += dy[i] * normal;
      d_beta[static_cast<size_t>(i)] += dy[i];
    }
    if (args.dx.data == nullptr) continue;
    float* dx = args.dx.as<float>() + row * width;
    for (int64_t i = 0; i < width; ++i) {
      const double normal = (x[i] - mean) * rstd;
      const double g = static_cast<double>(gamma[i]) * dy[i];
      dx[i] = static_cast<float>(rstd * (g - sum_g / count - normal * sum_gn / count));
    }
  }
  if (args.d_gamma.data == nullptr) return;
  for (int64_t i = 0; i < width; ++i) {
    float& gamma_out = args.d_gamma.as<float>()[i];
    gamma_out = static_cast<float>(gamma_out + d_gamma[static_cast<size_t>(i)]);
    if (!centered) continue;
    float& beta_out = args.d_beta.as<float>()[i];
    beta_out = static_cast<float>(beta_out + d_beta[static_cast<size_t>(i)]);
  }
}

}  // namespace

void ReferenceKernels::LayerNormForward(const NormForwardArgs& args) {
  CheckNormForward(args, true);
  Forward(args, true);
}

void ReferenceKernels::LayerNormBackward(const NormBackwardArgs& args) {
  CheckNormBackward(args, true);
  Backward(args, true);
}

void ReferenceKernels::RmsNormForward(const NormForwardArgs& args) {
  CheckNormForward(args, false);
  Forward(args, false);
}

void ReferenceKernels::RmsNormBackward(const NormBackwardArgs& args) {
  CheckNormBackward(args, false);
  Backward(args, false);
}

}  // namespace weft
