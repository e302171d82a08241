#include "tensor/kernels/cpu/loops/families.h"
#include "tensor/kernels/cpu/loops/simd.h"

namespace weft::WEFT_ISA {
namespace {

// (1 + tanh(u)) / 2 = sigmoid(2u): one exponential serves the value and the slope of the tanh form
// of GELU.
constexpr float kTwiceSqrtTwoOverPi = 1.5957691216057308f;
constexpr float kCubic = 0.044715f;

inline Vec GeluSigmoid(Vec x) {
  return Sigmoid(Set(kTwiceSqrtTwoOverPi) * Fma(Set(kCubic) * x * x, x, x));
}

void GeluForward(int64_t n, const float* x, float* y) {
  ForEach(n, [&](int64_t i, auto lanes) {
    const Vec v = lanes.Read(x + i);
    lanes.Write(y + i, v * GeluSigmoid(v));
  });
}

void GeluBackward(int64_t n, const float* dy, const float* x, float* dx) {
  ForEach(n, [&](int64_t i, auto lanes) {
    const Vec v = lanes.Read(x + i);
    const Vec s = GeluSigmoid(v);
    const Vec inner_slope = Set(kTwiceSqrtTwoOverPi) * Fma(Set(3 * kCubic) * v, v, Set(1.0f));
    const Vec slope = Fma(v * inner_slope, s * (Set(1.0f) - s), s);
    lanes.Write(dx + i, lanes.Read(dy + i) * slope);
  });
}

void SwigluForward(int64_t rows, int64_t n, const float* gate_up, float* y) {
  for (int64_t row = 0; row < rows; ++row) {
    const float* gate = gate_up + row * 2 * n;
    const float* up = gate + n;
    float* out = y + row * n;
    ForEach(n, [&](int64_t i, auto lanes) {
      const Vec g = lanes.Read(gate + i);
      lanes.Write(out + i, g * Sigmoid(g) * lanes.Read(up + i));
    });
  }
}

void SwigluBackward(int64_t rows, int64_t n, const float* dy, const float* gate_up,
                    float* d_gate_up) {
  for (int64_t row = 0; row < rows; ++row) {
    const float* gate = gate_up + row * 2 * n;
    const float* up = gate + n;
    const float* gradient = dy + row * n;
    float* d_gate = d_gate_up + row * 2 * n;
    float* d_up = d_gate + n;
    ForEach(n, [&](int64_t i, auto lanes) {
      const Vec g = lanes.Read(gate + i);
      const Vec d = lanes.Read(gradient + i);
      const Vec s = Sigmoid(g);
      const Vec silu = g * s;
      lanes.Write(d_gate + i, d * lanes.Read(up + i) * Fma(silu, Set(1.0f) - s, s));
      lanes.Write(d_up + i, d * silu);
    });
  }
}

}  // namespace

void FillActivation(Loops& loops) {
  loops.gelu_forward = GeluForward;
  loops.gelu_backward = GeluBackward;
  loops.swiglu_forward = SwigluForward;
  loops.swiglu_backward = SwigluBackward;
}

}  // namespace weft::WEFT_ISA
