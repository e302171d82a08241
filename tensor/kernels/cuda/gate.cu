#include <bit>

#include "tensor/device/cuda/launch.h"
#include "tensor/kernels/check_args.h"
#include "tensor/kernels/cuda/cuda_kernels.h"
#include "tensor/kernels/cuda/dispatch.h"
#include "tensor/kernels/cuda/reduce.h"

// Shazeer et al. 2017, eq. (2) to (5), without noise; the softmax comes before the choice (GShard,
// Lepikhin et al. 2020). A warp for each token; a lane has every 32nd expert.

namespace weft {
namespace {

constexpr unsigned kTokensOfBlock = 4;
constexpr int kMostHeld = 16;  // experts of a lane that stay in registers

// A number that is larger for whom the gate prefers; what is not a number comes last.
__device__ __forceinline__ uint32_t Preference(float logit) {
  const float value = logit + 0.0f;  // -0 and 0 are a tie
  const auto bits = std::bit_cast<uint32_t>(value);
  const uint32_t key = (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
  return value != value ? 0 : key;
}

// What a lane has of a token's row: in registers where kHeld (as many as a lane has experts) is not
// 0, otherwise in memory.
template <int kHeld>
class LaneOfRow {
 public:
  __device__ LaneOfRow(const float* row, int experts) : row_(row), experts_(experts) {
#pragma unroll
    for (int i = 0; i < kHeld; ++i) {
      const int expert = static_cast<int>(threadIdx.x) + i * kWarp;
      held_[i] = expert < experts ? row[expert] : 0.0f;
    }
  }

  // f(value, expert), experts ascending.
  template <typename F>
  __device__ void Each(F f) const {
    if constexpr (kHeld > 0) {
#pragma unroll
      for (int i = 0; i < kHeld; ++i) {
        const int expert = static_cast<int>(threadIdx.x) + i * kWarp;
        if (expert < experts_) f(held_[i], expert);
      }
    } else {
      for (int expert = static_cast<int>(threadIdx.x); expert < experts_; expert += kWarp)
        f(row_[expert], expert);
    }
  }

 private:
  const float* row_;
  int experts_;
  float held_[kHeld > 0 ? kHeld : 1];
};

template <int kHeld>
__global__ void GateForwardKernel(const float* logits_in, float* probs_out, int32_t* chosen_out,
                                  float* weights_out, int64_t tokens, int experts, int top_k,
                                  bool renormalize, bool forced) {
  const int64_t token = int64_t{blockIdx.x} * kTokensOfBlock + threadIdx.y;
  if (token >= tokens) return;
  const float* const logits = logits_in + token * experts;
  float* const probs = probs_out + token * experts;
  int32_t* const chosen = chosen_out + token * top_k;
  float* const weights = weights_out + token * top_k;

  const LaneOfRow<kHeld> own(logits, experts);
  float largest = -INFINITY;
  own.Each([&](float logit, int /*expert*/) { largest = fmaxf(largest, logit); });
  largest = WarpMax(largest);
  float denominator = 0;
  own.Each([&](float logit, int /*expert*/) { denominator += expf(logit - largest); });
  denominator = WarpSum(denominator);
  own.Each([&](float logit, int expert) { probs[expert] = expf(logit - largest) / denominator; });

  // Of those that are behind the last one chosen in the order of preference, ties to the lower
  // expert, every lane offers its best.
  uint32_t last_key = ~uint32_t{0};
  int last = -1;
  float sum = 0;
  for (int j = 0; j < top_k; ++j) {
    if (forced) {
      last = chosen[j];
    } else {
      uint32_t best_key = 0;
      int best = experts;
      own.Each([&](float logit, int expert) {
        const uint32_t key = Preference(logit);
        const bool behind = key < last_key || (key == last_key && expert > last);
        if (!behind || (best < experts && key <= best_key)) return;
        best_key = key;
        best = expert;
      });
      // Lanes without any offer no expert, with the key of what is not a number.
      last_key = __reduce_max_sync(kAllLanes, best_key);
      const bool offers = best < experts && best_key == last_key;
      last = static_cast<int>(
          __reduce_min_sync(kAllLanes, static_cast<unsigned>(offers ? best : experts)));
      if (threadIdx.x == 0) chosen[j] = last;
    }
    const float prob = expf(logits[last] - largest) / denominator;
    sum += prob;
    if (threadIdx.x == 0) weights[j] = prob;
  }
  if (!renormalize || threadIdx.x != 0) return;
  for (int j = 0; j < top_k; ++j) weights[j] /= sum;
}

template <typename T, int kHeld>
__global__ void GateBackwardKernel(const float* probs_in, const int32_t* chosen_in,
                                   const float* weights_in, const float* d_weights_in,
                                   const float* d_probs_in, T* d_logits_out, int64_t tokens,
                                   int experts, int top_k, bool renormalize) {
  const int64_t token = int64_t{blockIdx.x} * kTokensOfBlock + threadIdx.y;
  if (token >= tokens) return;
  const float* const probs = probs_in + token * experts;
  const int32_t* const chosen = chosen_in + token * top_k;
  const float* const weights = weights_in + token * top_k;
  const float* const d_weights = d_weights_in + token * top_k;
  const float* const d_probs = d_probs_in + token * experts;
  T* const d_logits = d_logits_out + token * experts;

  const LaneOfRow<kHeld> own(probs, experts);
  float mean = 0;
  float sum = 1;
  if (renormalize) {
    sum = 0;
    for (int j = 0; j < top_k; ++j) {
      sum += probs[chosen[j]];
      mean = fmaf(d_weights[j], weights[j], mean);
    }
  }
  const auto d_prob = [&](int expert) {
    float d = d_probs[expert];
    for (int j = 0; j < top_k; ++j) {
      if (chosen[j] == expert) d += (d_weights[j] - mean) / sum;
    }
    return d;
  };
  float dot = 0;
  own.Each([&](float prob, int expert) { dot = fmaf(prob, d_prob(expert), dot); });
  dot = WarpSum(dot);
  own.Each([&](float prob, int expert) {
    d_logits[expert] = FromFloat<T>(prob * (d_prob(expert) - dot));
  });
}

// A block for 32 experts of a sequence: threads along x are experts, along y tokens.
// parts[sequence, block]: what they add to the loss.
constexpr int kExpertLanes = kWarp;
constexpr int kTokenLanes = 16;

__global__ __launch_bounds__(kExpertLanes* kTokenLanes) void BalanceLossKernel(
    const float* probs, const int32_t* chosen, int64_t length, int experts, int k,
    double coefficient, float* d_probs, double* parts) {
  __shared__ int counts[kTokenLanes][kExpertLanes];
  __shared__ double sums[kTokenLanes][kExpertLanes];
  const int64_t first = blockIdx.x * length;
  const int expert = static_cast<int>(blockIdx.y * kExpertLanes + threadIdx.x);
  const bool there = expert < experts;
  int count = 0;
  double sum = 0;
  for (int64_t t = first + threadIdx.y; t < first + length; t += kTokenLanes) {
    for (int j = 0; j < k; ++j) count += chosen[t * k + j] == expert;
    if (there) sum += probs[t * experts + expert];
  }
  counts[threadIdx.y][threadIdx.x] = count;
  sums[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  count = 0;
  sum = 0;
  for (int lane = 0; lane < kTokenLanes; ++lane) {
    count += counts[lane][threadIdx.x];
    sum += sums[lane][threadIdx.x];
  }
  const double fraction = static_cast<double>(count) / (static_cast<double>(k) * length);
  const double factor = coefficient * fraction / static_cast<double>(length);
  for (int64_t t = first + threadIdx.y; there && t < first + length; t += kTokenLanes)
    d_probs[t * experts + expert] = static_cast<float>(factor);
  if (threadIdx.y != 0) return;
  const double loss = WarpSum(there ? factor * sum : 0.0);
  if (threadIdx.x == 0) parts[int64_t{blockIdx.x} * gridDim.y + blockIdx.y] = loss;
}

// Calls f.template operator()<kHeld>().
template <typename F>
void WithHeld(int64_t experts, F f) {
  if (experts <= 2 * kWarp) {
    f.template operator()<2>();
  } else if (experts <= kMostHeld * kWarp) {
    f.template operator()<kMostHeld>();
  } else {
    f.template operator()<0>();
  }
}

}  // namespace

void CudaKernels::GateForward(const GateForwardArgs& args) {
  CheckGateForward(args, Indices::kOnDevice);
  const int64_t tokens = args.logits.dim(0), experts = args.logits.dim(1);
  WithHeld(experts, [&]<int kHeld>() {
    Launch(queue_, "GateForward", GroupsOf(tokens, kTokensOfBlock), dim3(kWarp, kTokensOfBlock),
           GateForwardKernel<kHeld>, args.logits.as<float>(), args.probs.as<float>(),
           args.experts.as<int32_t>(), args.weights.as<float>(), tokens, static_cast<int>(experts),
           static_cast<int>(args.top_k), args.renormalize, args.forced);
  });
}

void CudaKernels::GateBackward(const GateBackwardArgs& args) {
  CheckGateBackward(args, Indices::kOnDevice);
  const int64_t tokens = args.probs.dim(0), experts = args.probs.dim(1);
  if (tokens == 0) return;
  WithElement(args.d_logits.dtype, [&]<typename T>() {
    WithHeld(experts, [&]<int kHeld>() {
      Launch(queue_, "GateBackward", GroupsOf(tokens, kTokensOfBlock), dim3(kWarp, kTokensOfBlock),
             GateBackwardKernel<T, kHeld>, args.probs.as<float>(), args.experts.as<int32_t>(),
             args.weights.as<float>(), args.d_weights.as<float>(), args.d_probs.as<float>(),
             args.d_logits.as<T>(), tokens, static_cast<int>(experts),
             static_cast<int>(args.experts.dim(1)), args.renormalize);
    });
  });
}

void CudaKernels::BalanceLoss(const BalanceLossArgs& args) {
  CheckBalanceLoss(args, Indices::kOnDevice);
  const int64_t sequences = args.probs.dim(0) / args.length, experts = args.probs.dim(1);
  if (args.probs.elements() == 0) return;
  const dim3 grid(static_cast<unsigned>(sequences), GroupsOf(experts, kExpertLanes));
  const int64_t count = sequences * grid.y;
  double* const parts = scratch_.Ensure<double>({count}).as<double>();
  Launch(queue_, "BalanceLoss", grid, dim3(kExpertLanes, kTokenLanes), BalanceLossKernel,
         args.probs.as<float>(), args.experts.as<int32_t>(), args.length, static_cast<int>(experts),
         static_cast<int>(args.experts.dim(1)), args.coefficient, args.d_probs.as<float>(), parts);
  AddParts(parts, count, args.loss_sum.as<double>());
}

}  // namespace weft
