#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tensor/kernels/kernels.h"

// What the tests of the kernels share: owned tensors with reproducible contents, comparisons, and
// the implementations.

namespace weft {

// A matrix or vector of floats with its own memory.
class Floats {
 public:
  explicit Floats(const Shape& shape, float fill = 0)
      : shape_(shape), values_(static_cast<size_t>(shape.elements()), fill) {}

  // N(0, scale); the same for the same seed.
  static Floats Normal(const Shape& shape, uint64_t seed, float scale = 1);

  TensorView view() { return View(values_.data(), shape_); }
  ConstTensorView view() const { return View(values_.data(), shape_); }
  std::vector<float>& values() { return values_; }
  const std::vector<float>& values() const { return values_; }
  const Shape& shape() const { return shape_; }
  float& operator[](int64_t i) { return values_[static_cast<size_t>(i)]; }
  float operator[](int64_t i) const { return values_[static_cast<size_t>(i)]; }

 private:
  Shape shape_;
  std::vector<float> values_;
};

class Ints {
 public:
  explicit Ints(const Shape& shape, int32_t fill = 0)
      : shape_(shape), values_(static_cast<size_t>(shape.elements()), fill) {}

  // Uniform in [low, high); the same for the same seed.
  static Ints Uniform(const Shape& shape, int32_t low, int32_t high, uint64_t seed);

  TensorView view() { return View(values_.data(), shape_); }
  ConstTensorView view() const { return View(values_.data(), shape_); }
  std::vector<int32_t>& values() { return values_; }
  const std::vector<int32_t>& values() const { return values_; }
  int32_t& operator[](int64_t i) { return values_[static_cast<size_t>(i)]; }

 private:
  Shape shape_;
  std::vector<int32_t> values_;
};

// |actual - expected| <= tolerance * (1 + |expected|), everywhere.
::testing::AssertionResult Near(const Floats& actual, const Floats& expected, double tolerance);

// Every bit.
::testing::AssertionResult SameBits(const Floats& actual, const Floats& expected);

// Kernels under test. They take host tensors, wherever they work.
struct Implementation {
  std::string name;
  std::function<std::unique_ptr<Kernels>()> make;
  std::string unavailable;    // why `make` cannot be called here; its tests are skipped with it
  DType dtype = DType::kF32;  // of what may be fp32 or bf16: the tests' tensors are fp32 always
  // Products of groups have the bits of Gemm. A kernel of its own adds up in an order of its own;
  // then they have those of a call with any other rows and groups.
  bool groups_like_gemm = true;
  // Pieces of attention begin and end where sequences do.
  bool attention_in_whole_sequences = false;
};

// What this program tests: the CPU kernels once for each instruction set that this machine runs
// ("cpu_x86_64_v4", ...; kernels_on_cpu.cc), or CUDA's (kernels_on_cuda.cc).
std::vector<Implementation> Implementations();
void PrintTo(const Implementation& implementation, std::ostream* out);

// A suite that compares kernels with the reference: `fast_` is the one under test.
class FastKernelsTest : public ::testing::TestWithParam<Implementation> {
 protected:
  void SetUp() override;

  bool bf16() const { return GetParam().dtype == DType::kBF16; }
  std::unique_ptr<Kernels> Make() const;  // the kernels under test, once more
  // The number nearest to `value` that a tensor may hold.
  float Stored(float value) const { return bf16() ? BFloat16::FromFloat(value).ToFloat() : value; }
  Floats Stored(Floats values) const {
    for (float& value : values.values()) value = Stored(value);
    return values;
  }
  // weft::Near for results of this type: two roundings of nearly the same number to bf16 are at
  // most 2^-7 of it apart, and what is computed from such results is a little more.
  ::testing::AssertionResult Near(const Floats& actual, const Floats& expected,
                                  double tolerance) const {
    return weft::Near(actual, expected, bf16() ? std::max(tolerance, 0.016) : tolerance);
  }

  std::unique_ptr<Kernels> reference_;
  std::unique_ptr<Kernels> fast_;
};

std::string NameOf(const ::testing::TestParamInfo<Implementation>& info);

}  // namespace weft
