#include "tensor/device/cuda/launch.h"
#include "tensor/kernels/check_args.h"
#include "tensor/kernels/cuda/cuda_kernels.h"

// GELU, tanh form: Hendrycks and Gimpel 2016, section 2. SwiGLU: Shazeer 2020, eq. (6).

namespace weft {
namespace {

constexpr unsigned kThreads = 256;
constexpr float kSqrtTwoOverPi = 0.79788456080286535588f;
constexpr float kCubic = 0.044715f;

__device__ __forceinline__ int64_t GlobalThread() {
  return static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}

__global__ void GeluForwardKernel(const float* x, float* y, int64_t elements) {
  const int64_t i = GlobalThread();
  if (i >= elements) return;
  const float v = x[i];
  y[i] = 0.5f * v * (1.0f + tanhf(kSqrtTwoOverPi * (v + kCubic * v * v * v)));
}

__global__ void GeluBackwardKernel(const float* dy, const float* x, float* dx, int64_t elements) {
  const int64_t i = GlobalThread();
  if (i >= elements) return;
  const float v = x[i];
  const float tanh = tanhf(kSqrtTwoOverPi * (v + kCubic * v * v * v));
  const float inner_slope = kSqrtTwoOverPi * (1.0f + 3.0f * kCubic * v * v);
  dx[i] = dy[i] * (0.5f * (1.0f + tanh) + 0.5f * v * (1.0f - tanh * tanh) * inner_slope);
}

__global__ void SwigluForwardKernel(const float* gate_up, float* y, int64_t elements, int64_t n) {
  const int64_t i = GlobalThread();
  if (i >= elements) return;
  const float* const row = gate_up + i / n * 2 * n;
  const float gate = row[i % n];
  y[i] = gate / (1.0f + expf(-gate)) * row[i % n + n];
}

__global__ void SwigluBackwardKernel(const float* dy, const float* gate_up, float* d_gate_up,
                                     int64_t elements, int64_t n) {
  const int64_t i = GlobalThread();
  if (i >= elements) return;
  const int64_t at = i / n * 2 * n + i % n;
  const float gate = gate_up[at], up = gate_up[at + n], gradient = dy[i];
  const float sigmoid = 1.0f / (1.0f + expf(-gate));
  const float silu = gate * sigmoid;
  d_gate_up[at] = gradient * up * (sigmoid + silu * (1.0f - sigmoid));
  d_gate_up[at + n] = gradient * silu;
}

}  // namespace

void CudaKernels::GeluForward(ConstTensorView x, TensorView y) {
  CheckSameElements(x, y);
  const int64_t n = x.elements();
  Launch(queue_, "GeluForward", GroupsOf(n, kThreads), kThreads, GeluForwardKernel, x.as<float>(),
         y.as<float>(), n);
}

void CudaKernels::GeluBackward(ConstTensorView dy, ConstTensorView x, TensorView dx) {
  CheckSameElements(dy, x);
  CheckSameElements(dx, x);
  const int64_t n = x.elements();
  Launch(queue_, "GeluBackward", GroupsOf(n, kThreads), kThreads, GeluBackwardKernel,
         dy.as<float>(), x.as<float>(), dx.as<float>(), n);
}

void CudaKernels::SwigluForward(ConstTensorView gate_up, TensorView y) {
  CheckSwiglu(gate_up, y);
  const int64_t n = y.elements();
  Launch(queue_, "SwigluForward", GroupsOf(n, kThreads), kThreads, SwigluForwardKernel,
         gate_up.as<float>(), y.as<float>(), n, y.dim(1));
}

void CudaKernels::SwigluBackward(ConstTensorView dy, ConstTensorView gate_up,
                                 TensorView d_gate_up) {
  CheckSwiglu(gate_up, dy);
  CheckSwiglu(d_gate_up, dy);
  const int64_t n = dy.elements();
  Launch(queue_, "SwigluBackward", GroupsOf(n, kThreads), kThreads, SwigluBackwardKernel,
         dy.as<float>(), gate_up.as<float>(), d_gate_up.as<float>(), n, dy.dim(1));
}

}  // namespace weft
