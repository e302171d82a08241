#include <algorithm>
#include <cstring>

#include "tensor/device/cuda/launch.h"
#include "tensor/kernels/check_args.h"
#include "tensor/kernels/cuda/cuda_kernels.h"
#include "tensor/kernels/cuda/reduce.h"

// Shazeer et al. 2017, eq. (2) to (5), without noise; the softmax comes before the choice (GShard,
// Lepikhin et al. 2020). A warp for each token.

namespace weft {
namespace {

constexpr unsigned kTokensOfBlock = 4;
constexpr unsigned kThreads = 256;

// A number for each (logit, expert) that is larger for whom the gate prefers: by logit, ties to the
// lower expert; what is not a number comes last.
__device__ __forceinline__ uint64_t Preference(float logit, int64_t expert) {
  const float value = logit + 0.0f;  // -0 and 0 are a tie
  uint32_t bits = 0;
  memcpy(&bits, &value, sizeof(bits));
  uint32_t key = (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
  if (value != value) key = 0;
  return static_cast<uint64_t>(key) << 32 | (0xffffffffu - static_cast<uint32_t>(expert));
}

__global__ void GateForwardKernel(const float* logits_in, float* probs_out, int32_t* chosen_out,
                                  float* weights_out, int64_t tokens, int64_t experts,
                                  int64_t top_k, bool renormalize, bool forced) {
  const int64_t token = static_cast<int64_t>(blockIdx.x) * kTokensOfBlock + threadIdx.y;
  if (token >= tokens) return;
  const float* const logits = logits_in + token * experts;
  float* const probs = probs_out + token * experts;
  int32_t* const chosen = chosen_out + token * top_k;
  float* const weights = weights_out + token * top_k;

  float largest = -INFINITY;
  for (int64_t e = threadIdx.x; e < experts; e += kWarp) largest = fmaxf(largest, logits[e]);
  largest = WarpMax(largest);
  float denominator = 0;
  for (int64_t e = threadIdx.x; e < experts; e += kWarp) denominator += expf(logits[e] - largest);
  denominator = WarpSum(denominator);
  for (int64_t e = threadIdx.x; e < experts; e += kWarp) {
    probs[e] = expf(logits[e] - largest) / denominator;
  }

  uint64_t last = ~uint64_t{0};
  float sum = 0;
  for (int64_t j = 0; j < top_k; ++j) {
    int32_t expert = 0;
    if (forced) {
      expert = chosen[j];
    } else {
      uint64_t best = 0;
      for (int64_t e = threadIdx.x; e < experts; e += kWarp) {
        const uint64_t preference = Preference(logits[e], e);
        if (preference < last && preference > best) best = preference;
      }
      last = WarpMax(best);
      expert = static_cast<int32_t>(0xffffffffu - static_cast<uint32_t>(last));
      if (threadIdx.x == 0) chosen[j] = expert;
    }
    const float prob = expf(logits[expert] - largest) / denominator;
    sum += prob;
    if (threadIdx.x == 0) weights[j] = prob;
  }
  if (!renormalize || threadIdx.x != 0) return;
  for (int64_t j = 0; j < top_k; ++j) weights[j] /= sum;
}

__global__ void GateBackwardKernel(const float* probs_in, const int32_t* chosen_in,
                                   const float* weights_in, const float* d_weights_in,
                                   const float* d_probs_in, float* d_logits_out, int64_t tokens,
                                   int64_t experts, int64_t top_k, bool renormalize) {
  const int64_t token = static_cast<int64_t>(blockIdx.x) * kTokensOfBlock + threadIdx.y;
  if (token >= tokens) return;
  const float* const probs = probs_in + token * experts;
  const int32_t* const chosen = chosen_in + token * top_k;
  const float* const weights = weights_in + token * top_k;
  const float* const d_weights = d_weights_in + token * top_k;
  const float* const d_probs = d_probs_in + token * experts;
  float* const d_logits = d_logits_out + token * experts;

  float mean = 0;
  float sum = 1;
  if (renormalize) {
    sum = 0;
    for (int64_t j = 0; j < top_k; ++j) {
      sum += probs[chosen[j]];
      mean += d_weights[j] * weights[j];
    }
  }
  const auto d_prob = [&](int64_t e) {
    float d = d_probs[e];
    for (int64_t j = 0; j < top_k; ++j) {
      if (chosen[j] == e) d += (d_weights[j] - mean) / sum;
    }
    return d;
  };
  float dot = 0;
  for (int64_t e = threadIdx.x; e < experts; e += kWarp) dot += probs[e] * d_prob(e);
  dot = WarpSum(dot);
  for (int64_t e = threadIdx.x; e < experts; e += kWarp) {
    d_logits[e] = probs[e] * (d_prob(e) - dot);
  }
}

// A block for each sequence, a thread for each expert. parts[sequence]: what it adds to the loss.
__global__ void BalanceLossKernel(const float* probs, const int32_t* chosen, int64_t length,
                                  int64_t experts, int64_t k, double coefficient, float* d_probs,
                                  double* parts) {
  __shared__ double warps[kThreads / kWarp];
  const int64_t first = static_cast<int64_t>(blockIdx.x) * length;
  double loss = 0;
  for (int64_t e = threadIdx.x; e < experts; e += kThreads) {
    int64_t count = 0;
    for (int64_t i = first * k; i < (first + length) * k; ++i) count += chosen[i] == e;
    const double fraction = static_cast<double>(count) / static_cast<double>(k * length);
    double sum = 0;
    for (int64_t t = first; t < first + length; ++t) sum += probs[t * experts + e];
    loss += coefficient * fraction * sum / static_cast<double>(length);
    const auto gradient = static_cast<float>(coefficient * fraction / static_cast<double>(length));
    for (int64_t t = first; t < first + length; ++t) d_probs[t * experts + e] = gradient;
  }
  loss = BlockSum(loss, warps);
  if (threadIdx.x == 0) parts[blockIdx.x] = loss;
}

}  // namespace

void CudaKernels::GateForward(const GateForwardArgs& args) {
  CheckGateForward(args, Indices::kOnDevice);
  const int64_t tokens = args.logits.dim(0);
  Launch(queue_, "GateForward", GroupsOf(tokens, kTokensOfBlock), dim3(kWarp, kTokensOfBlock),
         GateForwardKernel, args.logits.as<float>(), args.probs.as<float>(),
         args.experts.as<int32_t>(), args.weights.as<float>(), tokens, args.logits.dim(1),
         args.top_k, args.renormalize, args.forced);
}

void CudaKernels::GateBackward(const GateBackwardArgs& args) {
  CheckGateBackward(args, Indices::kOnDevice);
  const int64_t tokens = args.probs.dim(0);
  Launch(queue_, "GateBackward", GroupsOf(tokens, kTokensOfBlock), dim3(kWarp, kTokensOfBlock),
         GateBackwardKernel, args.probs.as<float>(), args.experts.as<int32_t>(),
         args.weights.as<float>(), args.d_weights.as<float>(), args.d_probs.as<float>(),
         args.d_logits.as<float>(), tokens, args.probs.dim(1), args.experts.dim(1),
         args.renormalize);
}

void CudaKernels::BalanceLoss(const BalanceLossArgs& args) {
  CheckBalanceLoss(args, Indices::kOnDevice);
  const int64_t sequences = args.probs.dim(0) / args.length;
  double* const parts = scratch_.Ensure<double>({std::max<int64_t>(1, sequences)}).as<double>();
  Launch(queue_, "BalanceLoss", static_cast<unsigned>(sequences), kThreads, BalanceLossKernel,
         args.probs.as<float>(), args.experts.as<int32_t>(), args.length, args.probs.dim(1),
         args.experts.dim(1), args.coefficient, args.d_probs.as<float>(), parts);
  AddParts(parts, sequences, args.loss_sum.as<double>());
}

}  // namespace weft
