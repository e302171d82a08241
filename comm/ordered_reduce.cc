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

// Numbers as sums are made of them, and back.
template <typename T>
T Wide(T value) {
  return value;
}
float Wide(BFloat16 value) { return value.ToFloat(); }
template <typename T>
void Store(T value, T& to) {
  to = value;
}
void Store(float value, BFloat16& to) { to = BFloat16::FromFloat(value); }

// Tile by tile, so that the running result stays in the first-level cache and `out` may be an
// input.
template <typename T, typename Op>
void Reduce(std::span<const void* const> in, T* out, int64_t elements, Op op) {
  constexpr int64_t kTile = 1024;
  std::array<decltype(Wide(T())), kTile> tile;
  for (int64_t begin = 0; begin < elements; begin += kTile) {
    const auto count = static_cast<size_t>(std::min(kTile, elements - begin));
    const T* const first = static_cast<const T*>(in[0]) + begin;
    for (size_t i = 0; i < count; ++i) tile[i] = Wide(first[i]);
    for (const void* input : in.subspan(1)) {
      const T* x = static_cast<const T*>(input) + begin;
      for (size_t i = 0; i < count; ++i) tile[i] = op(tile[i], Wide(x[i]));
    }
    for (size_t i = 0; i < count; ++i) Store(tile[i], out[begin + static_cast<int64_t>(i)]);
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
      return ReduceAs<BFloat16>(in, out, elements, op);
    case DType::kI32:
    case DType::kU8:
      break;
  }
  WEFT_CHECK(false, "reductions take f32, bf16, f64 or i64");
}

}  // namespace weft
