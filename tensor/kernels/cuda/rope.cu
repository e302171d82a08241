#include <algorithm>
#include <cmath>
#include <vector>

#include "tensor/device/cuda/launch.h"
#include "tensor/kernels/check_args.h"
#include "tensor/kernels/cuda/cuda_kernels.h"
#include "tensor/kernels/cuda/dispatch.h"

// Su et al. 2021, "RoFormer", in the half-split order of the published LLaMA-family weights.

namespace weft {
namespace {

constexpr unsigned kThreads = 128;

// A block for each row: threads along x are pairs of a head, along y heads.
template <typename T, int kPack>
__global__ void RopeKernel(T* x, const float* cosines, const float* sines, int heads, int half,
                           int width, unsigned begin, unsigned length, float sign) {
  const int64_t row = blockIdx.x;
  const int64_t position = (begin + blockIdx.x) % length;
  for (int i = static_cast<int>(threadIdx.x) * kPack; i < half;
       i += static_cast<int>(blockDim.x) * kPack) {
    const Pack<kPack> cosine = Load<kPack>(cosines + position * half + i);
    const Pack<kPack> sine = Load<kPack>(sines + position * half + i);
    for (int head = static_cast<int>(threadIdx.y); head < heads;
         head += static_cast<int>(blockDim.y)) {
      T* const at = x + row * width + head * 2 * half + i;
      Pack<kPack> a = Load<kPack>(at), b = Load<kPack>(at + half);
#pragma unroll
      for (int j = 0; j < kPack; ++j) {
        const float first = a.at[j], second = b.at[j], turn = sign * sine.at[j];
        a.at[j] = fmaf(first, cosine.at[j], -(second * turn));
        b.at[j] = fmaf(second, cosine.at[j], first * turn);
      }
      Store(a, at);
      Store(b, at + half);
    }
  }
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
  const int64_t half = args.head_dim / 2, rows = args.x.dim(0), width = args.x.dim(1);
  if (rows * args.rotated_heads * half == 0) return;
  const RopeTable& table = TableOf(args.length, args.head_dim, args.theta);
  // A pack divides the two where it divides the bits of both.
  WithPacks(args.x.dtype, half | width, {args.x.data}, [&]<typename T, int kPack>() {
    unsigned across = 1;
    while (across * kPack < half && across < kThreads) across *= 2;
    Launch(queue_, "Rope", static_cast<unsigned>(rows), dim3(across, kThreads / across),
           RopeKernel<T, kPack>, args.x.as<T>(), table.cosine.as<float>(), table.sine.as<float>(),
           static_cast<int>(args.rotated_heads), static_cast<int>(half), static_cast<int>(width),
           static_cast<unsigned>(args.begin), static_cast<unsigned>(args.length),
           args.inverse ? -1.0f : 1.0f);
  });
}

}  // namespace weft
