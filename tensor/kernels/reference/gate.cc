#include <algorithm>
#include <cmath>
#include <vector>

#include "tensor/kernels/check_args.h"
#include "tensor/kernels/reference/reference_kernels.h"

// Shazeer et al. 2017, eq. (2) to (5), without noise; the softmax comes before the choice (GShard,
// Lepikhin et al. 2020).

namespace weft {
namespace {

double SumOfChosen(const float* probs, const int32_t* chosen, int64_t top_k) {
  double sum = 0;
  for (int64_t j = 0; j < top_k; ++j) sum += probs[chosen[j]];
  return sum;
}

}  // namespace

void ReferenceKernels::GateForward(const GateForwardArgs& args) {
  CheckGateForward(args);
  const int64_t experts = args.logits.dim(1);
  std::vector<int32_t> order(static_cast<size_t>(experts));
  for (int64_t token = 0; token < args.logits.dim(0); ++token) {
    const float* logits = args.logits.as<float>() + token * experts;
    float* probs = args.probs.as<float>() + token * experts;
    const double largest = *std::max_element(logits, logits + experts);
    double denominator = 0;
    for (int64_t e = 0; e < experts; ++e) denominator += std::exp(logits[e] - largest);
    for (int64_t e = 0; e < experts; ++e) {
      probs[e] = static_cast<float>(std::exp(logits[e] - largest) / denominator);
      order[static_cast<size_t>(e)] = static_cast<int32_t>(e);
    }
    // By logit, not by probability: rounding the softmax must not make ties of its own.
    std::stable_sort(order.begin(), order.end(),
                     [&](int32_t x, int32_t y) { return logits[x] > logits[y]; });
    int32_t* chosen = args.experts.as<int32_t>() + token * args.top_k;
    float* weights = args.weights.as<float>() + token * args.top_k;
    if (!args.forced) std::copy_n(order.begin(), args.top_k, chosen);
    const double sum = args.renormalize ? SumOfChosen(probs, chosen, args.top_k) : 1.0;
    for (int64_t j = 0; j < args.top_k; ++j) {
      weights[j] = static_cast<float>(probs[chosen[j]] / sum);
    }
  }
}

// d_p of a chosen expert: d_w, or (d_w - sum of d_w w) / (sum of chosen p) when renormalised; plus
// d_probs. d_logits = p (d_p - sum of p d_p).
void ReferenceKernels::GateBackward(const GateBackwardArgs& args) {
  CheckGateBackward(args);
  const int64_t experts = args.probs.dim(1), top_k = args.experts.dim(1);
  std::vector<double> d_p(static_cast<size_t>(experts));
  for (int64_t token = 0; token < args.probs.dim(0); ++token) {
    const float* probs = args.probs.as<float>() + token * experts;
    const int32_t* chosen = args.experts.as<int32_t>() + token * top_k;
    const float* weights = args.weights.as<float>() + token * top_k;
    const float* d_weights = args.d_weights.as<float>() + token * top_k;
    const float* d_probs = args.d_probs.as<float>() + token * experts;
    std::copy_n(d_probs, experts, d_p.begin());
    double mean = 0, sum = 1;
    if (args.renormalize) {
      sum = SumOfChosen(probs, chosen, top_k);
      for (int64_t j = 0; j < top_k; ++j) mean += static_cast<double>(d_weights[j]) * weights[j];
    }
    for (int64_t j = 0; j < top_k; ++j) {
      d_p[static_cast<size_t>(chosen[j])] += (d_weights[j] - mean) / sum;
    }
    double dot = 0;
    for (int64_t e = 0; e < experts; ++e) dot += probs[e] * d_p[static_cast<size_t>(e)];
    float* d_logits = args.d_logits.as<float>() + token * experts;
    for (int64_t e = 0; e < experts; ++e) {
      d_logits[e] = static_cast<float>(probs[e] * (d_p[static_cast<size_t>(e)] - dot));
    }
  }
}

}  // namespace weft
