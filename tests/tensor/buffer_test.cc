#include "tensor/device/buffer.h"

#include <cstdint>
#include <utility>

#include "gtest/gtest.h"

namespace weft {
namespace {

TEST(BufferTest, StartsEmptyWithoutAllocating) {
  const int64_t before = Buffer::GrowthCount();
  const Buffer buffer;
  EXPECT_EQ(buffer.capacity_bytes(), 0);
  EXPECT_EQ(buffer.data(), nullptr);
  EXPECT_EQ(Buffer::GrowthCount(), before);
}

TEST(BufferTest, IsAlignedAndZeroed) {
  Buffer buffer;
  buffer.Reserve(100);
  EXPECT_GE(buffer.capacity_bytes(), 100);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % 64, 0u);
  for (int64_t i = 0; i < buffer.capacity_bytes(); ++i) ASSERT_EQ(buffer.as<char>()[i], 0);
}

TEST(BufferTest, GrowsOnlyWhenItMustAndCountsIt) {
  Buffer buffer;
  buffer.Reserve(100);
  const int64_t before = Buffer::GrowthCount();
  EXPECT_FALSE(buffer.Reserve(100));
  EXPECT_FALSE(buffer.Reserve(1));
  EXPECT_EQ(Buffer::GrowthCount(), before);
  const int64_t old_capacity = buffer.capacity_bytes();
  EXPECT_TRUE(buffer.Reserve(old_capacity + 1));
  EXPECT_EQ(Buffer::GrowthCount(), before + 1);
  EXPECT_GE(buffer.capacity_bytes(), old_capacity + old_capacity / 2);  // loads that creep settle
}

TEST(BufferTest, EnsureGivesAViewThatFits) {
  Buffer buffer;
  const TensorView view = buffer.Ensure<float>({3, 5});
  EXPECT_EQ(view.shape, (Shape{3, 5}));
  EXPECT_EQ(view.dtype, DType::kF32);
  view.as<float>()[14] = 2;
  EXPECT_EQ(buffer.view<float>({15}).as<float>()[14], 2);
  const TensorView none = buffer.Ensure<float>({0, 5});
  EXPECT_EQ(none.elements(), 0);
  EXPECT_EQ(buffer.as<float>()[14], 2);  // what fits disturbs nothing
}

TEST(BufferTest, MovesItsMemory) {
  Buffer first;
  first.Reserve(64);
  void* const data = first.data();
  const Buffer second = std::move(first);
  EXPECT_EQ(second.data(), data);
  EXPECT_EQ(second.capacity_bytes(), 64);
}

TEST(BufferDeathTest, AViewLargerThanTheBufferIsAProgrammersError) {
  Buffer buffer;
  buffer.Reserve(64);
  EXPECT_DEATH(buffer.view<float>({17}), "shape fits the buffer");
}

}  // namespace
}  // namespace weft
