#include <cmath>

#include "tensor/kernels/check_args.h"
#include "tensor/kernels/reference/reference_kernels.h"

// GELU, tanh form: Hendrycks and Gimpel 2016, section 2. SwiGLU: Shazeer 2020, eq. (6).

namespace weft {
namespace {

constexpr double kSqrtTwoOverPi = 0.79788456080286535588;
constexpr double kCubic = 0.044715;

double Sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

}  // namespace

void ReferenceKernels::GeluForward(ConstTensorView x, TensorView y) {
  CheckSameElements(x, y);
  const float* in = x.as<float>();
  float* out = y.as<float>();
  for (int64_t i = 0; i < x.elements(); ++i) {
    const double v = in[i];
    const double inner = kSqrtTwoOverPi * (v + kCubic * v * v * v);
    out[i] = static_cast<float>(0.5 * v * (1.0 + std::tanh(inner)));
  }
}

void ReferenceKernels::GeluBackward(ConstTensorView dy, ConstTensorView x, TensorView dx) {
  CheckSameElements(dy, x);
  CheckSameElements(dx, x);
  const float* in = x.as<float>();
  const float* gradient = dy.as<float>();
  float* out = dx.as<float>();
  for (int64_t i = 0; i < x.elements(); ++i) {
    const double v = in[i];
    const double tanh = std::tanh(kSqrtTwoOverPi * (v + kCubic * v * v * v));
    const double inner_slope = kSqrtTwoOverPi * (1.0 + 3.0 * kCubic * v * v);
    const double slope = 0.5 * (1.0 + tanh) + 0.5 * v * (1.0 - tanh * tanh) * inner_slope;
    out[i] = static_cast<float>(gradient[i] * slope);
  }
}

void ReferenceKernels::SwigluForward(ConstTensorView gate_up, TensorView y) {
  CheckSwiglu(gate_up, y);
  const int64_t n = y.dim(1);
  for (int64_t row = 0; row < y.dim(0); ++row) {
    const float* gate = gate_up.as<float>() + row * 2 * n;
    const float* up = gate + n;
    float* out = y.as<float>() + row * n;
    for (int64_t i = 0; i < n; ++i) {
      out[i] = static_cast<float>(gate[i] * Sigmoid(gate[i]) * up[i]);
    }
  }
}

void ReferenceKernels::SwigluBackward(ConstTensorView dy, ConstTensorView gate_up,
                                      TensorView d_gate_up) {
  CheckSwiglu(gate_up, dy);
  CheckSwiglu(d_gate_up, dy);
  const int64_t n = dy.dim(1);
  for (int64_t row = 0; row < dy.dim(0); ++row) {
    const float* gate = gate_up.as<float>() + row * 2 * n;
    const float* up = gate + n;
    const float* gradient = dy.as<float>() + row * n;
    float* d_gate = d_gate_up.as<float>() + row * 2 * n;
    float* d_up = d_gate + n;
    for (int64_t i = 0; i < n; ++i) {
      const double sigmoid = Sigmoid(gate[i]);
      const double silu = gate[i] * sigmoid;
      d_gate[i] = static_cast<float>(gradient[i] * up[i] * (sigmoid + silu * (1.0 - sigmoid)));
      d_up[i] = static_cast<float>(gradient[i] * silu);
    }
  }
}

}  // namespace weft
