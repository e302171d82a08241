#include "tests/tensor/kernels_support.h"

#include <bit>
#include <cmath>

#include "base/random.h"
#include "tests/tensor/rounded_kernels.h"

namespace weft {

Floats Floats::Normal(const Shape& shape, uint64_t seed, float scale) {
  Floats out(shape);
  const CounterRng random(seed, "floats");
  for (int64_t i = 0; i < shape.elements(); ++i) {
    out[i] = scale * random.Normal(static_cast<uint64_t>(i));
  }
  return out;
}

Ints Ints::Uniform(const Shape& shape, int32_t low, int32_t high, uint64_t seed) {
  Ints out(shape);
  const CounterRng random(seed, "ints");
  for (int64_t i = 0; i < shape.elements(); ++i) {
    out[i] = low + static_cast<int32_t>(random.Bits(static_cast<uint64_t>(i)) %
                                        static_cast<uint64_t>(high - low));
  }
  return out;
}

::testing::AssertionResult Near(const Floats& actual, const Floats& expected, double tolerance) {
  if (!(actual.shape() == expected.shape())) {
    return ::testing::AssertionFailure() << "shapes differ";
  }
  for (int64_t i = 0; i < expected.shape().elements(); ++i) {
    const double error = std::abs(static_cast<double>(actual[i]) - expected[i]);
    if (!(error <= tolerance * (1 + std::abs(expected[i])))) {
      return ::testing::AssertionFailure()
             << "element " << i << " of " << expected.shape().ToString() << ": " << actual[i]
             << ", expected " << expected[i];
    }
  }
  return ::testing::AssertionSuccess();
}

::testing::AssertionResult SameBits(const Floats& actual, const Floats& expected) {
  if (!(actual.shape() == expected.shape())) {
    return ::testing::AssertionFailure() << "shapes differ";
  }
  for (int64_t i = 0; i < expected.shape().elements(); ++i) {
    const float a = actual[i], b = expected[i];
    if (std::bit_cast<uint32_t>(a) != std::bit_cast<uint32_t>(b)) {
      return ::testing::AssertionFailure()
             << "element " << i << " of " << expected.shape().ToString() << ": " << a
             << ", expected the bits of " << b;
    }
  }
  return ::testing::AssertionSuccess();
}

std::unique_ptr<Kernels> FastKernelsTest::Make() const {
  std::unique_ptr<Kernels> made = GetParam().make();
  if (!bf16()) return made;
  return std::make_unique<RoundedKernels>(std::move(made));
}

void FastKernelsTest::SetUp() {
  if (!GetParam().unavailable.empty()) GTEST_SKIP() << GetParam().unavailable;
  fast_ = Make();
  reference_ = MakeReferenceKernels();
  if (bf16()) reference_ = std::make_unique<RoundedKernels>(std::move(reference_));
}

void PrintTo(const Implementation& implementation, std::ostream* out) {
  *out << implementation.name;
}

std::string NameOf(const ::testing::TestParamInfo<Implementation>& info) { return info.param.name; }

}  // namespace weft
