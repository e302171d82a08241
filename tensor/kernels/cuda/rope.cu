#include <cmath>
#include <vector>

#include "tensor/device/cuda/launch.h"
#include "tensor/kernels/check_args.h"
#include "tensor/kernels/cuda/cuda_kernels.h"

// Su et al. 2021, "RoFormer", in the half-split order of the published LLaMA-family weights.

namespace weft {
namespace {

constexpr unsigned kThreads = 256;

__global__ void RopeKernel(float* x, const float* cosines, const float* sines, int64_t pairs,
                           int64_t heads, int64_t half, int64_t width, int64_t begin,
                           int64_t length, float sign) {
  const int64_t pair = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (pair >= pairs) return;
  const int64_t i = pair % half;
  const int64_t head = pair / half % heads;
  const int64_t row = pair / (half * heads);
  const int64_t entry = (begin + row) % length * half + i;
  const float cosine = cosines[entry], sine = sign * sines[entry];
  float* const first = x + row * width + head * 2 * half + i;
  const float a = first[0], b = first[half];
  first[0] = a * cosine - b * sine;
  first[half] = b * cosine + a * sine;
}

}  // namespace

const CudaKernels::RopeTable& CudaKernels::TableOf(int64_t length, int64_t head_dim, float theta) {
  RopeTable& table = rope_tables_[{head_dim, theta}];
  if (table.length >= length) return table;
  const int64_t half = head_dim / 2;
  std::vector<float> cosine(static_cast<size_t>(length * half)), sine(cosine.size());
  for (int64_t i = 0; i < half; ++i) {
    const double exponent = -2.0 * static_cast<double>(i) / static_cast<double>(head_dim);
    const double frequency = std::pow(static_cast<double>(theta), exponent);
    for (int64_t position = 0; position < length; ++position) {
      const double angle = static_cast<double>(position) * frequency;
      cosine[static_cast<size_t>(position * half + i)] = static_cast<float>(std::cos(angle));
      sine[static_cast<size_t>(position * half + i)] = static_cast<float>(std::sin(angle));
    }
  }
  table.length = length;
  table.cosine = Buffer(memory_);
  table.sine = Buffer(memory_);
  memory_.FromHost(View(cosine.data(), {length, half}), table.cosine.Ensure<float>({length, half}));
  memory_.FromHost(View(sine.data(), {length, half}), table.sine.Ensure<float>({length, half}));
  return table;
}

void CudaKernels::Rope(const RopeArgs& args) {
  CheckRope(args);
  const int64_t half = args.head_dim / 2;
  const int64_t pairs = args.x.dim(0) * args.rotated_heads * half;
  if (pairs == 0) return;
  const RopeTable& table = TableOf(args.length, args.head_dim, args.theta);
  Launch(queue_, "Rope", GroupsOf(pairs, kThreads), kThreads, RopeKernel, args.x.as<float>(),
         table.cosine.as<float>(), table.sine.as<float>(), pairs, args.rotated_heads, half,
         args.x.dim(1), args.begin, args.length, args.inverse ? -1.0f : 1.0f);
}

}  // namespace weft
