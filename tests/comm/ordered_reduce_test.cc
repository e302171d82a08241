#include "comm/ordered_reduce.h"

#include <array>
#include <vector>

#include "gtest/gtest.h"

namespace weft {
namespace {

// 1e8 + 1 loses the 1 in float: the order of additions shows in the result.
TEST(OrderedReduceTest, AddsFromTheFirstInputOn) {
  const std::array<float, 1> small = {1.0F};
  const std::array<float, 1> large = {1e8F};
  const std::array<float, 1> minus = {-1e8F};
  std::array<float, 1> out{};
  const std::vector<const void*> lost = {small.data(), large.data(), minus.data()};
  OrderedReduce(lost, out.data(), 1, DType::kF32, ReduceOp::kSum);
  EXPECT_EQ(out[0], 0.0F);
  const std::vector<const void*> kept = {large.data(), minus.data(), small.data()};
  OrderedReduce(kept, out.data(), 1, DType::kF32, ReduceOp::kSum);
  EXPECT_EQ(out[0], 1.0F);
}

// 256 + 1 + 1 is 258 in bf16; rounded after the first sum it would be 256.
TEST(OrderedReduceTest, Bf16IsRoundedOnce) {
  const std::array<BFloat16, 1> large = {BFloat16::FromFloat(256)}, one = {BFloat16::FromFloat(1)};
  std::array<BFloat16, 1> out{};
  const std::vector<const void*> in = {large.data(), one.data(), one.data()};
  OrderedReduce(in, out.data(), 1, DType::kBF16, ReduceOp::kSum);
  EXPECT_EQ(out[0].ToFloat(), 258);
  OrderedReduce(in, out.data(), 1, DType::kBF16, ReduceOp::kMax);
  EXPECT_EQ(out[0].ToFloat(), 256);
}

TEST(OrderedReduceTest, TheResultMayReplaceAnyInput) {
  for (size_t target = 0; target < 3; ++target) {
    std::array<std::vector<int64_t>, 3> inputs;
    std::vector<const void*> in;
    for (size_t i = 0; i < inputs.size(); ++i) {
      for (int64_t k = 0; k < 2500; ++k) inputs[i].push_back(static_cast<int64_t>(i + 1) * k);
      in.push_back(inputs[i].data());
    }
    OrderedReduce(in, inputs[target].data(), 2500, DType::kI64, ReduceOp::kSum);
    for (int64_t k = 0; k < 2500; ++k) EXPECT_EQ(inputs[target][static_cast<size_t>(k)], 6 * k);
  }
}

}  // namespace
}  // namespace weft
