#include "tensor/kernels/cpu/loops/families.h"
#include "tensor/kernels/cpu/loops/simd.h"

namespace weft::WEFT_ISA {
namespace {

void Softmax(int64_t n, const float* logits, float* probs) {
  constexpr float kLowest = -__builtin_inff();
  Vec largest = Set(kLowest);
  ForEach(n,
          [&](int64_t i, auto lanes) { largest = Max(largest, lanes.Read(logits + i, kLowest)); });
  const float top = MaxOfLanes(largest);
  Vec sums = Set(0);
  ForEach(n, [&](int64_t i, auto lanes) {
    const Vec p = Exp(lanes.Read(logits + i, kLowest) - Set(top));
    sums = sums + p;
    lanes.Write(probs + i, p);
  });
  const Vec inverse = Set(1.0f / SumOfLanes(sums));
  ForEach(n,
          [&](int64_t i, auto lanes) { lanes.Write(probs + i, inverse * lanes.Read(probs + i)); });
}

// The best top_k so far, best first; a later expert must be truly better to go ahead of an earlier
// one. Names top_k different experts whatever the logits are, NaN included.
void ChooseExperts(int64_t experts, int64_t top_k, const float* logits, int32_t* chosen) {
  int64_t count = 0;
  for (int32_t e = 0; e < experts; ++e) {
    if (count == top_k && !(logits[e] > logits[chosen[count - 1]])) continue;
    int64_t place = count < top_k ? count++ : count - 1;
    for (; place > 0 && logits[e] > logits[chosen[place - 1]]; --place) {
      chosen[place] = chosen[place - 1];
    }
    chosen[place] = e;
  }
}

float SumOfChosen(const float* probs, const int32_t* chosen, int64_t top_k) {
  float sum = 0;
  for (int64_t j = 0; j < top_k; ++j) sum += probs[chosen[j]];
  return sum;
}

void GateForward(const GateLoopArgs& args) {
  for (int64_t token = 0; token < args.tokens; ++token) {
    const float* logits = args.logits + token * args.experts;
    float* probs = args.probs + token * args.experts;
    int32_t* chosen = args.chosen + token * args.top_k;
    float* weights = args.weights + token * args.top_k;
    Softmax(args.experts, logits, probs);
    if (!args.forced) ChooseExperts(args.experts, args.top_k, logits, chosen);
    const float sum = args.renormalize ? SumOfChosen(probs, chosen, args.top_k) : 1.0f;
    for (int64_t j = 0; j < args.top_k; ++j) weights[j] = probs[chosen[j]] / sum;
  }
}

void GateBackward(const GateBackwardLoopArgs& args) {
  float* d_p = args.scratch;
  for (int64_t token = 0; token < args.tokens; ++token) {
    const float* probs = args.probs + token * args.experts;
    const int32_t* chosen = args.chosen + token * args.top_k;
    const float* weights = args.weights + token * args.top_k;
    const float* d_weights = args.d_weights + token * args.top_k;
    const float* d_probs = args.d_probs + token * args.experts;
    float* d_logits = args.d_logits + token * args.experts;
    ForEach(args.experts,
            [&](int64_t i, auto lanes) { lanes.Write(d_p + i, lanes.Read(d_probs + i)); });
    float mean = 0, sum = 1;
    if (args.renormalize) {
      sum = SumOfChosen(probs, chosen, args.top_k);
      for (int64_t j = 0; j < args.top_k; ++j) mean += d_weights[j] * weights[j];
    }
    for (int64_t j = 0; j < args.top_k; ++j) d_p[chosen[j]] += (d_weights[j] - mean) / sum;
    Vec dots = Set(0);
    ForEach(args.experts, [&](int64_t i, auto lanes) {
      dots = Fma(lanes.Read(probs + i), lanes.Read(d_p + i), dots);
    });
    const Vec dot = Set(SumOfLanes(dots));
    ForEach(args.experts, [&](int64_t i, auto lanes) {
      lanes.Write(d_logits + i, lanes.Read(probs + i) * (lanes.Read(d_p + i) - dot));
    });
  }
}

}  // namespace

void FillGate(Loops& loops) {
  loops.gate_forward = GateForward;
  loops.gate_backward = GateBackward;
}

}  // namespace weft::WEFT_ISA
