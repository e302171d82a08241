#include <cmath>

#include "tensor/kernels/check_args.h"
#include "tensor/kernels/reference/reference_kernels.h"

// Su et al. 2021, "RoFormer", in the half-split order of the published LLaMA-family weights.

namespace weft {

void ReferenceKernels::Rope(const RopeArgs& args) {
  CheckRope(args);
  const int64_t width = args.x.dim(1), half = args.head_dim / 2;
  for (int64_t row = 0; row < args.x.dim(0); ++row) {
    const double position = static_cast<double>((args.begin + row) % args.length);
    for (int64_t head = 0; head < args.rotated_heads; ++head) {
      float* x = args.x.as<float>() + row * width + head * args.head_dim;
      for (int64_t i = 0; i < half; ++i) {
        const double exponent = -2.0 * static_cast<double>(i) / static_cast<double>(args.head_dim);
        const double angle = position * std::pow(static_cast<double>(args.theta), exponent);
        const double cosine = std::cos(angle);
        const double sine = args.inverse ? -std::sin(angle) : std::sin(angle);
        const double first = x[i], second = x[i + half];
        x[i] = static_cast<float>(first * cosine - second * sine);
        x[i + half] = static_cast<float>(second * cosine + first * sine);
      }
    }
  }
}

}  // namespace weft
