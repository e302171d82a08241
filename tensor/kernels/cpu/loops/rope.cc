#include "tensor/kernels/cpu/loops/families.h"
#include "tensor/kernels/cpu/loops/simd.h"

namespace weft::WEFT_ISA {
namespace {

void Rope(int64_t begin, int64_t rows, int64_t length, int64_t width, int64_t heads,
          int64_t head_dim, float direction, const float* cosine, const float* sine, float* x) {
  const int64_t half = head_dim / 2;
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t position = (begin + row) % length;
    const float* cosines = cosine + position * half;
    const float* sines = sine + position * half;
    for (int64_t head = 0; head < heads; ++head) {
      float* first = x + row * width + head * head_dim;
      float* second = first + half;
      ForEach(half, [&](int64_t i, auto lanes) {
        const Vec a = lanes.Read(first + i), b = lanes.Read(second + i);
        const Vec c = lanes.Read(cosines + i), s = Set(direction) * lanes.Read(sines + i);
        lanes.Write(first + i, a * c - b * s);
        lanes.Write(second + i, b * c + a * s);
      });
    }
  }
}

}  // namespace

void FillRope(Loops& loops) { loops.rope = Rope; }

}  // namespace weft::WEFT_ISA
