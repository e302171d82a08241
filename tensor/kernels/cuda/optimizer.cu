#include <cmath>

#include "tensor/device/cuda/launch.h"
#include "tensor/kernels/check_args.h"
#include "tensor/kernels/cuda/cuda_kernels.h"
#include "tensor/kernels/cuda/dispatch.h"

// Loshchilov and Hutter 2019, algorithm 2, with the schedule folded into the learning rate.

namespace weft {
namespace {

constexpr unsigned kThreads = 256;

struct Rates {
  double beta1, beta2, m_factor, v_factor, epsilon, weight_decay, learning_rate, gradient_scale;
};

// In fp64, as the reference: a square root and a division, forty operations an element or so, take
// less than its 28 bytes.
__device__ __forceinline__ void Update(float& parameter, float& m, float& v, float gradient,
                                       const Rates& rates) {
  const double g = rates.gradient_scale * gradient;
  const double new_m = rates.beta1 * m + (1.0 - rates.beta1) * g;
  const double new_v = rates.beta2 * v + (1.0 - rates.beta2) * g * g;
  const double old = parameter;
  const double update = new_m * rates.m_factor / (sqrt(new_v * rates.v_factor) + rates.epsilon) +
                        rates.weight_decay * old;
  m = static_cast<float>(new_m);
  v = static_cast<float>(new_v);
  parameter = static_cast<float>(old - rates.learning_rate * update);
}

template <int kPack>
__device__ __forceinline__ void UpdatePack(float* parameter, float* m, float* v,
                                           const float* gradient, BFloat16* rounded,
                                           const Rates& rates) {
  Pack<kPack> p = Load<kPack>(parameter), new_m = Load<kPack>(m), new_v = Load<kPack>(v);
  const Pack<kPack> g = Load<kPack>(gradient);
#pragma unroll
  for (int i = 0; i < kPack; ++i) Update(p.at[i], new_m.at[i], new_v.at[i], g.at[i], rates);
  Store(p, parameter);
  Store(new_m, m);
  Store(new_v, v);
  if (rounded != nullptr) Store(p, rounded);
}

// The last pack may be in part.
template <int kPack>
__global__ void AdamWKernel(float* parameter, float* m, float* v, const float* gradient,
                            BFloat16* rounded, int64_t elements, Rates rates) {
  const int64_t first = (int64_t{blockIdx.x} * kThreads + threadIdx.x) * kPack;
  const auto update = [&]<int kCount>(int64_t i) {
    UpdatePack<kCount>(parameter + i, m + i, v + i, gradient + i,
                       rounded == nullptr ? nullptr : rounded + i, rates);
  };
  if (first + kPack <= elements) {
    update.template operator()<kPack>(first);
  } else {
    for (int64_t i = first; i < elements; ++i) update.template operator()<1>(i);
  }
}

}  // namespace

void CudaKernels::AdamW(const AdamWArgs& args) {
  CheckAdamW(args);
  const int64_t n = args.parameter.elements();
  if (n == 0) return;
  const auto step = static_cast<double>(args.step);
  const Rates rates = {args.beta1,
                       args.beta2,
                       1.0 / (1.0 - std::pow(args.beta1, step)),
                       1.0 / (1.0 - std::pow(args.beta2, step)),
                       args.epsilon,
                       args.weight_decay,
                       args.learning_rate,
                       args.gradient_scale};
  const bool wide = WideAccess<float>(
      0, {args.parameter.data, args.m.data, args.v.data, args.gradient.data, args.rounded.data});
  Launch(queue_, "AdamW", GroupsOf(n, (wide ? kVector<float> : 1) * kThreads), kThreads,
         wide ? AdamWKernel<kVector<float>> : AdamWKernel<1>, args.parameter.as<float>(),
         args.m.as<float>(), args.v.as<float>(), args.gradient.as<float>(),
         OrNull<BFloat16>(args.rounded), n, rates);
}

}  // namespace weft
