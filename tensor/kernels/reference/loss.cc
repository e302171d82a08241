#include <algorithm>
#include <cmath>

#include "tensor/kernels/check_args.h"
#include "tensor/kernels/reference/reference_kernels.h"

namespace weft {

void ReferenceKernels::CrossEntropy(const CrossEntropyArgs& args) {
  CheckCrossEntropy(args);
  const int64_t vocab = args.logits.dim(1);
  for (int64_t row = 0; row < args.logits.dim(0); ++row) {
    float* logits = args.logits.as<float>() + row * vocab;
    const int32_t label = args.labels.as<int32_t>()[row];
    const double largest = *std::max_element(logits, logits + vocab);
    double denominator = 0;
    for (int64_t i = 0; i < vocab; ++i) denominator += std::exp(logits[i] - largest);
    *args.loss_sum.as<double>() += largest + std::log(denominator) - logits[label];
    if (!args.want_gradient) continue;
    for (int64_t i = 0; i < vocab; ++i) {
      const double p = std::exp(logits[i] - largest) / denominator;
      logits[i] = static_cast<float>(args.scale * (p - (i == label ? 1.0 : 0.0)));
    }
  }
}

}  // namespace weft
