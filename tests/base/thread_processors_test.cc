#include "base/thread_processors.h"

#include <thread>

#include "gtest/gtest.h"

namespace weft {
namespace {

TEST(ThreadProcessors, AreInheritedAndOfTheThreadAlone) {
  const std::vector<int32_t> before = OwnProcessors();
  ASSERT_FALSE(before.empty());
  const std::vector<int32_t> one = {before.back()};
  std::vector<int32_t> own;
  std::vector<int32_t> inherited;
  std::thread([&] {
    ASSERT_TRUE(SetOwnProcessors(one));
    own = OwnProcessors();
    std::thread([&] { inherited = OwnProcessors(); }).join();
  }).join();
  EXPECT_EQ(own, one);
  EXPECT_EQ(inherited, one);
  EXPECT_EQ(OwnProcessors(), before);
}

TEST(ThreadProcessors, NoneIsRefused) { EXPECT_FALSE(SetOwnProcessors({})); }

}  // namespace
}  // namespace weft
