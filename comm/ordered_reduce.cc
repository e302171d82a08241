#include "comm/ordered_reduce.h"

#include <algorithm>
#include <array>

#include "base/check.h"

namespace weft {
namespace {

struct Sum {
  template <typename T>
  T operator()(T a, T b) const {
    return a + b;
  }
};

struct Max {
  template <typename T>
  T operator()(T a, T b) const {
    return (a < b || b != b) ? b : a;
  }
};

// Tile by tile, so that the running result stays in the first-level cache and `out` may be an
// input.
template <typename T, typename Op>
void Reduce(std::span<const void* const> in, T* out, int64_t elements, Op op) {
  constexpr int64_t kTile = 1024;
  std::array<T, kTile> tile;
  for (int64_t begin = 0; begin < elements; begin += kTile) {
    const int64_t count = std::min(kTile, elements - begin);
    std::copy_n(static_cast<const T*>(in[0]) + begin, count, tile.data());
    for (const void* input : in.subspan(1)) {
      const T* x = static_cast<const T*>(input) + begin;
      for (int64_t i = 0; i < count; ++i) {
        T& sum = tile[static_cast<size_t>(i)];
        sum = op(sum, x[i]);
      }
    }
    std::copy_n(tile.data(), count, out + begin);
  }
}

template <typename T>
void ReduceAs(std::span<const void* const> in, void* out, int64_t elements, ReduceOp op) {
  if (op == ReduceOp::kSum) {
    Reduce(in, static_cast<T*>(out), elements, Sum());
  } else {
    Reduce(in, static_cast<T*>(out), elements, Max());
  }
}

}  // namespace

void OrderedReduce(std::span<const void* const> in, void* out, int64_t elements, DType dtype,
                   ReduceOp op) {
  switch (dtype) {
    case DType::kF32:
      return ReduceAs<float>(in, out, elements, op);
    case DType::kF64:
      return ReduceAs<double>(in, out, elements, op);
    case DType::kI64:
      return ReduceAs<int64_t>(in, out, elements, op);
    case DType::kBF16:
    case DType::kI32:
    case DType::kU8:
      break;
  }
  WEFT_CHECK(false, "reductions take f32, f64 or i64");
}

}  // namespace weft
