#include "base/all_to_all_algorithm.h"

#include <gtest/gtest.h>

namespace weft {
namespace {

TEST(AllToAllAlgorithmTest, NamesAreReadBack) {
  for (const AllToAllAlgorithm algorithm : kAllToAllAlgorithms) {
    EXPECT_EQ(ParseAllToAllAlgorithm(Name(algorithm)).value(), algorithm);
  }
  EXPECT_EQ(ParseAllToAllAlgorithm("3dh").status().message(),
            "all-to-all algorithm '3dh': must be direct, pipe, 2dh or 1dh");
}

}  // namespace
}  // namespace weft
