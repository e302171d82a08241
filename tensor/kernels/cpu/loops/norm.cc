#include "tensor/kernels/cpu/loops/families.h"
#include "tensor/kernels/cpu/loops/simd.h"

namespace weft::WEFT_ISA {
namespace {

constexpr int64_t kSumRows =
    64;  // rows whose parameter gradients are summed apart before they join the total

// Sum over the row of term(i, lanes), which is 0 in lanes beyond it. Four chains hide the latency
// of the additions.
template <typename Term>
inline __attribute__((always_inline)) float RowSum(int64_t width, Term term) {
  Vec sums[4] = {Set(0), Set(0), Set(0), Set(0)};
  int64_t i = 0;
  for (; i + 4 * kLanes <= width; i += 4 * kLanes) {
    for (int64_t j = 0; j < 4; ++j) sums[j] = sums[j] + term(i + j * kLanes, Whole{});
  }
  for (; i + kLanes <= width; i += kLanes) sums[0] = sums[0] + term(i, Whole{});
  if (i < width) sums[1] = sums[1] + term(i, Part{width - i});
  return SumOfLanes((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

void NormForward(const NormLoopArgs& args) {
  const int64_t width = args.width;
  const float inverse_width = 1.0f / static_cast<float>(width);
  for (int64_t row = 0; row < args.rows; ++row) {
    const float* x = args.x + row * width;
    float* y = args.y + row * width;
    float mean = 0;
    if (args.beta != nullptr) {
      mean =
          RowSum(width, [&](int64_t i, auto lanes) { return lanes.Read(x + i); }) * inverse_width;
      args.mean[row] = mean;
    }
    const float square = RowSum(width, [&](int64_t i, auto lanes) {
      const Vec centered = lanes.Read(x + i, mean) - Set(mean);
      return centered * centered;
    });
    const float rstd = 1.0f / __builtin_sqrtf(square * inverse_width + args.epsilon);
    args.rstd[row] = rstd;
    if (args.beta != nullptr) {
      ForEach(width, [&](int64_t i, auto lanes) {
        const Vec normal = (lanes.Read(x + i) - Set(mean)) * Set(rstd);
        lanes.Write(y + i, Fma(lanes.Read(args.gamma + i), normal, lanes.Read(args.beta + i)));
      });
    } else {
      ForEach(width, [&](int64_t i, auto lanes) {
        lanes.Write(y + i, lanes.Read(args.gamma + i) * (lanes.Read(x + i) * Set(rstd)));
      });
    }
  }
}

template <bool kCentered>
void BackwardRow(const NormBackwardLoopArgs& args, int64_t row) {
  const int64_t width = args.width;
  const float* x = args.x + row * width;
  const float* dy = args.dy + row * width;
  float* dx = args.dx + row * width;
  const float inverse_width = 1.0f / static_cast<float>(width);
  const float rstd = args.rstd[row];
  const Vec mean = Set(kCentered ? args.mean[row] : 0.0f);
  const float sum_gn = RowSum(width, [&](int64_t i, auto lanes) {
    const Vec normal = (lanes.Read(x + i) - mean) * Set(rstd);
    return lanes.Read(args.gamma + i) * lanes.Read(dy + i) * normal;
  });
  float sum_g = 0;
  if constexpr (kCentered) {
    sum_g = RowSum(width, [&](int64_t i, auto lanes) {
      return lanes.Read(args.gamma + i) * lanes.Read(dy + i);
    });
  }
  const Vec mean_g = Set(sum_g * inverse_width), mean_gn = Set(sum_gn * inverse_width);
  ForEach(width, [&](int64_t i, auto lanes) {
    const Vec normal = (lanes.Read(x + i) - mean) * Set(rstd);
    const Vec g = lanes.Read(args.gamma + i) * lanes.Read(dy + i);
    lanes.Write(dx + i, Set(rstd) * (g - mean_g - normal * mean_gn));
  });
}

// The share of one row in the parameter gradients.
template <bool kCentered>
void ParameterRow(const NormBackwardLoopArgs& args, int64_t row, float* d_gamma, float* d_beta) {
  const float* x = args.x + row * args.width;
  const float* dy = args.dy + row * args.width;
  const Vec rstd = Set(args.rstd[row]), mean = Set(kCentered ? args.mean[row] : 0.0f);
  ForEach(args.width, [&](int64_t i, auto lanes) {
    const Vec normal = (lanes.Read(x + i) - mean) * rstd, gradient = lanes.Read(dy + i);
    lanes.Write(d_gamma + i, Fma(gradient, normal, lanes.Read(d_gamma + i)));
    if constexpr (kCentered) lanes.Write(d_beta + i, lanes.Read(d_beta + i) + gradient);
  });
}

template <bool kCentered>
void NormBackward(const NormBackwardLoopArgs& args) {
  float* d_gamma = args.scratch;
  float* d_beta = args.scratch + args.width;
  for (int64_t first = 0; first < args.rows; first += kSumRows) {
    const int64_t last = first + kSumRows < args.rows ? first + kSumRows : args.rows;
    if (args.dx != nullptr) {
      for (int64_t row = first; row < last; ++row) BackwardRow<kCentered>(args, row);
    }
    if (args.d_gamma == nullptr) continue;
    for (int64_t i = 0; i < 2 * args.width; ++i) args.scratch[i] = 0;
    for (int64_t row = first; row < last; ++row) {
      ParameterRow<kCentered>(args, row, d_gamma, d_beta);
    }
    for (int64_t i = 0; i < args.width; ++i) args.d_gamma[i] += d_gamma[i];
    if constexpr (!kCentered) continue;
    for (int64_t i = 0; i < args.width; ++i) args.d_beta[i] += d_beta[i];
  }
}

void NormBackward(const NormBackwardLoopArgs& args) {
  args.mean != nullptr ? NormBackward<true>(args) : NormBackward<false>(args);
}

}  // namespace

void FillNorm(Loops& loops) {
  loops.norm_forward = NormForward;
  loops.norm_backward = NormBackward;
}

}  // namespace weft::WEFT_ISA
