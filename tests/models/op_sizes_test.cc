#include "models/op_sizes.h"

#include "base/all_reduce.h"
#include "gtest/gtest.h"

namespace weft {
namespace {

// What comm really sends, in the size that costs are filed under.
double TwoStepBytes(const AllReduceCost& real, int32_t members) {
  const auto bytes = static_cast<double>(real.bytes);
  return real.steps == 1 ? 2 * bytes / members : bytes;
}

TEST(OpSizesTest, AnAllReducesSizeFollowsFromWhatIsSentAndGrows) {
  EXPECT_EQ(AllReduceBytes(10000, 1), 0);
  for (const int32_t members : {2, 3, 4, 64}) {
    double previous = -1;
    for (int64_t elements = 0; elements <= 10000; ++elements) {
      const double size = AllReduceBytes(elements, members);
      const double sent = TwoStepBytes(CostOfAllReduce(elements, sizeof(float), members), members);
      ASSERT_NEAR(size, sent, 8.0 * members) << elements << " elements, " << members << " members";
      ASSERT_GT(size, previous);
      previous = size;
    }
  }
}

// Why the size is not simply what is sent.
TEST(OpSizesTest, WhatAnAllReduceSendsFallsWhereTheSecondStepBegins) {
  const AllReduceCost last = CostOfAllReduce(kOneStepAllReduceBytes / 12, 4, 4);
  const AllReduceCost next = CostOfAllReduce(kOneStepAllReduceBytes / 12 + 1, 4, 4);
  EXPECT_EQ(last.steps, 1);
  EXPECT_EQ(next.steps, 2);
  EXPECT_LT(next.bytes, last.bytes);
}

}  // namespace
}  // namespace weft
