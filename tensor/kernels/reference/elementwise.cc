#include "tensor/kernels/check_args.h"
#include "tensor/kernels/reference/reference_kernels.h"

namespace weft {

void ReferenceKernels::AddBias(ConstTensorView bias, TensorView x) {
  CheckBias(bias, x);
  const float* b = bias.as<float>();
  float* values = x.as<float>();
  const int64_t n = x.dim(1);
  for (int64_t row = 0; row < x.dim(0); ++row) {
    for (int64_t i = 0; i < n; ++i) values[row * n + i] += b[i];
  }
}

void ReferenceKernels::BiasBackward(ConstTensorView dy, TensorView d_bias) {
  CheckBias(d_bias, dy);
  const float* gradient = dy.as<float>();
  float* out = d_bias.as<float>();
  const int64_t n = dy.dim(1);
  for (int64_t i = 0; i < n; ++i) {
    double sum = out[i];
    for (int64_t row = 0; row < dy.dim(0); ++row) sum += gradient[row * n + i];
    out[i] = static_cast<float>(sum);
  }
}

void ReferenceKernels::Add(ConstTensorView a, ConstTensorView b, TensorView y) {
  CheckSameElements(a, b);
  CheckSameElements(a, y);
  const float* left = a.as<float>();
  const float* right = b.as<float>();
  float* out = y.as<float>();
  for (int64_t i = 0; i < y.elements(); ++i) out[i] = left[i] + right[i];
}

void ReferenceKernels::Scale(float factor, TensorView x) {
  float* values = x.as<float>();
  for (int64_t i = 0; i < x.elements(); ++i) values[i] *= factor;
}

void ReferenceKernels::SumOfSquares(ConstTensorView x, TensorView sum) {
  CheckSum(sum);
  const float* values = x.as<float>();
  double squares = 0;
  for (int64_t i = 0; i < x.elements(); ++i) squares += static_cast<double>(values[i]) * values[i];
  *sum.as<double>() += squares;
}

}  // namespace weft
