#include "tensor/kernels/cpu/loops/families.h"
#include "tensor/kernels/cpu/loops/simd.h"

namespace weft::WEFT_ISA {
namespace {

// Three passes over a row that stays in cache: the largest logit, the exponentials and their sum,
// the gradient.
double CrossEntropy(int64_t rows, int64_t vocab, const int32_t* labels, float scale,
                    bool want_gradient, float* logits) {
  constexpr float kLowest = -__builtin_inff();
  double loss = 0;
  for (int64_t row = 0; row < rows; ++row) {
    float* values = logits + row * vocab;
    const float of_label = values[labels[row]];
    Vec largest = Set(kLowest);
    ForEach(vocab, [&](int64_t i, auto lanes) {
      largest = Max(largest, lanes.Read(values + i, kLowest));
    });
    const float top = MaxOfLanes(largest);
    Vec sums = Set(0);
    ForEach(vocab, [&](int64_t i, auto lanes) {
      const Vec p = Exp(lanes.Read(values + i, kLowest) - Set(top));
      sums = sums + p;
      if (want_gradient) lanes.Write(values + i, p);
    });
    const float sum = SumOfLanes(sums);
    loss += __builtin_log(static_cast<double>(sum)) + static_cast<double>(top - of_label);
    if (!want_gradient) continue;
    const Vec factor = Set(scale / sum);
    ForEach(vocab, [&](int64_t i, auto lanes) {
      lanes.Write(values + i, factor * lanes.Read(values + i));
    });
    values[labels[row]] -= scale;
  }
  return loss;
}

}  // namespace

void FillLoss(Loops& loops) { loops.cross_entropy = CrossEntropy; }

}  // namespace weft::WEFT_ISA
