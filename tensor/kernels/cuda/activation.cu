#include "tensor/device/cuda/launch.h"
#include "tensor/kernels/check_args.h"
#include "tensor/kernels/cuda/cuda_kernels.h"
#include "tensor/kernels/cuda/dispatch.h"
#include "tensor/kernels/cuda/map.h"
#include "tensor/kernels/cuda/row_grid.h"

// GELU, tanh form: Hendrycks and Gimpel 2016, section 2. SwiGLU: Shazeer 2020, eq. (6).

namespace weft {
namespace {

constexpr float kTwoSqrtTwoOverPi = 2 * 0.79788456080286535588f;
constexpr float kCubic = 0.044715f;

struct Sigmoid {
  float value;
  float rest;  // 1 - value, precise where value is nearly 1
};

// The device's fast division is off by two units of the last place at most, and gives 0 where the
// result would be below 2^-126.
__device__ __forceinline__ Sigmoid SigmoidOf(float x) {
  const float power = expf(-x);
#ifdef __CUDA_ARCH__
  const float value = __fdividef(1.0f, 1.0f + power);
#else
  const float value = 1.0f / (1.0f + power);
#endif
  return {value, x > 0 ? power * value : 1.0f - value};
}

// 1/2 (1 + tanh(u)) is the sigmoid of 2u.
__device__ __forceinline__ Sigmoid SigmoidOfGelu(float x) {
  return SigmoidOf(kTwoSqrtTwoOverPi * x * fmaf(kCubic * x, x, 1.0f));
}

struct Gelu {
  __device__ float operator()(float x) const { return x * SigmoidOfGelu(x).value; }
};

struct GeluGradient {
  __device__ float operator()(float dy, float x) const {
    const Sigmoid sigmoid = SigmoidOfGelu(x);
    const float slope = kTwoSqrtTwoOverPi * fmaf(3 * kCubic * x, x, 1.0f);
    return dy * fmaf(x * sigmoid.value * sigmoid.rest, slope, sigmoid.value);
  }
};

template <typename T, int kPack>
__global__ void SwigluForwardKernel(const T* gate_up, T* y, int64_t rows, int n) {
  const int64_t row = GridRow();
  const int column = GridColumn(kPack);
  if (row >= rows || column >= n) return;
  const T* const at = gate_up + 2 * row * n + column;
  const Pack<kPack> gate = Load<kPack>(at), up = Load<kPack>(at + n);
  Pack<kPack> out;
#pragma unroll
  for (int i = 0; i < kPack; ++i) out.at[i] = gate.at[i] * SigmoidOf(gate.at[i]).value * up.at[i];
  Store(out, y + row * n + column);
}

template <typename T, int kPack>
__global__ void SwigluBackwardKernel(const T* dy, const T* gate_up, T* d_gate_up, int64_t rows,
                                     int n) {
  const int64_t row = GridRow();
  const int column = GridColumn(kPack);
  if (row >= rows || column >= n) return;
  const int64_t at = 2 * row * n + column;
  const Pack<kPack> gate = Load<kPack>(gate_up + at), up = Load<kPack>(gate_up + at + n);
  const Pack<kPack> gradient = Load<kPack>(dy + row * n + column);
  Pack<kPack> d_gate, d_up;
#pragma unroll
  for (int i = 0; i < kPack; ++i) {
    const Sigmoid sigmoid = SigmoidOf(gate.at[i]);
    const float silu = gate.at[i] * sigmoid.value;
    d_gate.at[i] = gradient.at[i] * up.at[i] * fmaf(silu, sigmoid.rest, sigmoid.value);
    d_up.at[i] = gradient.at[i] * silu;
  }
  Store(d_gate, d_gate_up + at);
  Store(d_up, d_gate_up + at + n);
}

}  // namespace

void CudaKernels::GeluForward(ConstTensorView x, TensorView y) {
  CheckSameElements(x, y);
  Map(queue_, "GeluForward", Gelu{}, x, y);
}

void CudaKernels::GeluBackward(ConstTensorView dy, ConstTensorView x, TensorView dx) {
  CheckSameElements(dy, x);
  CheckSameElements(dx, x);
  Map(queue_, "GeluBackward", GeluGradient{}, dy, x, dx);
}

void CudaKernels::SwigluForward(ConstTensorView gate_up, TensorView y) {
  CheckSwiglu(gate_up, y);
  const int64_t rows = y.dim(0), n = y.dim(1);
  if (y.elements() == 0) return;
  WithPacks(y.dtype, n, {gate_up.data, y.data}, [&]<typename T, int kPack>() {
    const RowGrid over = GridOfRows(rows, n / kPack);
    Launch(queue_, "SwigluForward", over.grid, over.block, SwigluForwardKernel<T, kPack>,
           gate_up.as<T>(), y.as<T>(), rows, static_cast<int>(n));
  });
}

void CudaKernels::SwigluBackward(ConstTensorView dy, ConstTensorView gate_up,
                                 TensorView d_gate_up) {
  CheckSwiglu(gate_up, dy);
  CheckSwiglu(d_gate_up, dy);
  const int64_t rows = dy.dim(0), n = dy.dim(1);
  if (dy.elements() == 0) return;
  WithPacks(dy.dtype, n, {dy.data, gate_up.data, d_gate_up.data}, [&]<typename T, int kPack>() {
    const RowGrid over = GridOfRows(rows, n / kPack);
    Launch(queue_, "SwigluBackward", over.grid, over.block, SwigluBackwardKernel<T, kPack>,
           dy.as<T>(), gate_up.as<T>(), d_gate_up.as<T>(), rows, static_cast<int>(n));
  });
}

}  // namespace weft
