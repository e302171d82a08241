#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "base/bfloat16.h"
#include "base/random.h"
#include "tensor/device/buffer.h"
#include "tensor/device/cuda/cuda_memory.h"
#include "tensor/device/cuda/cuda_queue.h"
#include "tensor/kernels/compute_device.h"
#include "tensor/kernels/cuda/grouped_launch.h"
#include "tests/support/cuda_emulator/emulated_device.h"
#include "tests/tensor/cuda_choice_fixture.h"

// Who computes a product on a CUDA device, on the emulator.

namespace weft {
namespace {

// bf16 numbers on a device, and what they are on the host.
class CudaProductsChoiceTest : public CudaChoiceFixture {
 protected:
  void TearDown() override {
    cuda_emulator::SetCublasLt(true);
    cuda_emulator::FailLaunches(0);
  }

  // `skipped` elements from an address that every library takes.
  TensorView Numbers(const Shape& shape, int64_t skipped = 0) {
    buffers_.push_back(std::make_unique<Buffer>(kernels_->memory()));
    const TensorView all = buffers_.back()->Ensure<BFloat16>({shape.elements() + skipped});
    const CounterRng random(buffers_.size(), "products");
    std::vector<BFloat16> host;
    for (int64_t i = 0; i < all.elements(); ++i) {
      const auto steps = static_cast<float>(random.Bits(static_cast<size_t>(i)) % 17);
      host.push_back(BFloat16::FromFloat(steps / 8 - 1));
    }
    kernels_->memory().FromHost(View(host.data(), all.shape), all);
    return View(all.as<BFloat16>() + skipped, shape);
  }
  TensorView Zeros(const Shape& shape) {
    buffers_.push_back(std::make_unique<Buffer>(kernels_->memory()));
    return buffers_.back()->Ensure<float>(shape);
  }

  std::vector<float> Read(const ConstTensorView& view) {
    std::vector<float> values;
    if (view.dtype == DType::kF32) {
      values.resize(static_cast<size_t>(view.elements()));
      kernels_->memory().ToHost(view, View(values.data(), view.shape));
      return values;
    }
    std::vector<BFloat16> host(static_cast<size_t>(view.elements()));
    kernels_->memory().ToHost(view, View(host.data(), view.shape));
    for (const BFloat16 value : host) values.push_back(value.ToFloat());
    return values;
  }

  // All sums are of small multiples of 1/64: exact in fp32, whoever adds them up.
  std::vector<float> Product(const ConstTensorView& a, const ConstTensorView& b) {
    const std::vector<float> left = Read(a), right = Read(b);
    const int64_t m = a.dim(0), k = a.dim(1), n = b.dim(0);
    std::vector<float> c;
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        float sum = 0;
        for (int64_t l = 0; l < k; ++l)
          sum += left[static_cast<size_t>(i * k + l)] * right[static_cast<size_t>(j * k + l)];
        c.push_back(sum);
      }
    }
    return c;
  }

  // c = a b^T in fp32, right, and by how many calls of the library.
  int64_t LibraryCalls(const TensorView& a, const TensorView& b) {
    const TensorView c = Zeros({a.dim(0), b.dim(0)});
    const int64_t before = cuda_emulator::LtProductsRun();
    kernels_->Gemm({.a = a, .b = b, .c = c, .transpose_b = true});
    EXPECT_EQ(Read(c), Product(a, b));
    return cuda_emulator::LtProductsRun() - before;
  }
};

TEST_F(CudaProductsChoiceTest, TheLibraryComputesWhatIsAligned) {
  Open({});
  EXPECT_EQ(LibraryCalls(Numbers({5, 24}), Numbers({8, 24})), 1);
  EXPECT_EQ(LibraryCalls(Numbers({5, 24}, 8), Numbers({8, 24})), 1);
  EXPECT_EQ(LibraryCalls(Numbers({5, 24}, 1), Numbers({8, 24})), 0) << "address of a";
  EXPECT_EQ(LibraryCalls(Numbers({5, 24}), Numbers({8, 24}, 4)), 0) << "address of b";
  EXPECT_EQ(LibraryCalls(Numbers({5, 20}), Numbers({8, 20})), 0) << "rows of a and b";
  EXPECT_EQ(LibraryCalls(Numbers({5, 24}), Numbers({6, 24})), 0) << "rows of c";
  EXPECT_EQ(LibraryCalls(Numbers({0, 24}), Numbers({8, 24})), 0) << "no rows";
}

TEST_F(CudaProductsChoiceTest, WithoutTheLibraryProductsAreRightAndItIsSaid) {
  cuda_emulator::SetCublasLt(false);
  Open({});
  EXPECT_EQ(
      device_->description(),
      "emulator, 4 SMs, 1 GiB; products without cuBLASLt and slow: the emulator's is put "
      "away, of groups also in one launch by plain loops in the place of CUTLASS; attention in "
      "bf16 by plain loops in the place of cuDNN");
  EXPECT_EQ(LibraryCalls(Numbers({5, 24}), Numbers({8, 24})), 0);
}

TEST_F(CudaProductsChoiceTest, AnAlgorithmIsChosenOnceForAllRows) {
  Open({});
  const TensorView b = Numbers({8, 24});
  LibraryCalls(Numbers({5, 24}), b);
  const int64_t before = cuda_emulator::LtAlgorithmsChosen();
  for (const int64_t rows : {1, 2, 300, 1100}) LibraryCalls(Numbers({rows, 24}), b);
  EXPECT_EQ(cuda_emulator::LtAlgorithmsChosen(), before);
  LibraryCalls(Numbers({5, 32}), Numbers({8, 32}));
  EXPECT_EQ(cuda_emulator::LtAlgorithmsChosen(), before + 1);
}

TEST_F(CudaProductsChoiceTest, WhatTheLibraryRefusesEndsTheStep) {
  Open({});
  const TensorView a = Numbers({5, 24}), b = Numbers({8, 24}), c = Zeros({5, 8});
  const auto stream = device_->MakeStream({.name = "compute", .computes = true});
  kernels_->Gemm({.a = a, .b = b, .c = c, .transpose_b = true});  // buffers are there
  cuda_emulator::FailLaunches(1);
  ASSERT_TRUE(stream
                  ->Enqueue([&] {
                    kernels_->Gemm({.a = a, .b = b, .c = c, .transpose_b = true});
                    return absl::OkStatus();
                  })
                  .ok());
  EXPECT_EQ(
      stream->Synchronize(),
      absl::InternalError("the product of [5, 24] and [24, 8] in bf16: an error of the emulator"));
}

// Products over several streams come after what the stream did before, and before what it does
// next.
TEST_F(CudaProductsChoiceTest, GroupsOverStreamsKeepTheOrderOfTheCaller) {
  Open({});
  kernels_->UseGroupedMethod(GroupedMethod::kOneByOne);
  const std::vector<int64_t> rows = {3, 0, 2, 1, 4, 2};
  const TensorView x = Numbers({12, 16}), a = Numbers({12, 16}), y = Numbers({12, 8});
  std::vector<ConstTensorView> b;
  for (size_t g = 0; g < rows.size(); ++g) b.push_back(Numbers({8, 16}));
  const TensorView widened = Zeros({12, 8});
  // The emulator's cudaFree ends the work of all streams, the oldest first: the first call makes
  // those of the groups older than the caller's.
  kernels_->GroupedGemm({a, rows, b, true, y});
  void* const freed = kernels_->memory().Allocate(64);
  const auto stream = device_->MakeStream({.name = "compute", .computes = true});
  const int64_t before = cuda_emulator::LtProductsRun();
  ASSERT_TRUE(stream
                  ->Enqueue([&] {
                    kernels_->memory().Copy(x, a);
                    kernels_->GroupedGemm({a, rows, b, true, y});
                    kernels_->memory().Free(freed);
                    kernels_->memory().Zero(a);
                    kernels_->Convert(y, widened);
                    return absl::OkStatus();
                  })
                  .ok());
  ASSERT_TRUE(stream->Synchronize().ok());
  EXPECT_EQ(cuda_emulator::LtProductsRun() - before, 5);
  int64_t begin = 0;
  std::vector<float> expected;
  for (size_t g = 0; g < rows.size(); begin += rows[g++]) {
    for (const float value : Product(Rows(x, begin, rows[g]), b[g]))
      expected.push_back(BFloat16::FromFloat(value).ToFloat());
  }
  EXPECT_EQ(Read(widened), expected);
}

TEST_F(CudaProductsChoiceTest, GroupsAreOneLaunchWhenTheyAreAligned) {
  Open({});
  const std::vector<int64_t> rows = {3, 0, 2};
  const auto launches = [&](int64_t k, int64_t skipped) {
    const TensorView a = Numbers({5, k}, skipped), y = Numbers({5, 8});
    std::vector<ConstTensorView> b;
    for (size_t g = 0; g < rows.size(); ++g) b.push_back(Numbers({8, k}));
    const int64_t before = cuda_emulator::GroupedLaunches();
    kernels_->GroupedGemm({a, rows, b, true, y});
    std::vector<float> expected;
    for (const auto& [group, begin, count] :
         std::vector<std::array<size_t, 3>>{{0, 0, 3}, {2, 3, 2}}) {
      for (const float value :
           Product(Rows(a, static_cast<int64_t>(begin), static_cast<int64_t>(count)), b[group]))
        expected.push_back(BFloat16::FromFloat(value).ToFloat());
    }
    EXPECT_EQ(Read(y), expected);
    return cuda_emulator::GroupedLaunches() - before;
  };
  EXPECT_EQ(launches(24, 0), 1);
  EXPECT_EQ(launches(24, 3), 0) << "address";
  EXPECT_EQ(launches(20, 0), 0) << "rows";
}

TEST_F(CudaProductsChoiceTest, AWarmCallOfGroupsAllocatesNothing) {
  Open({});
  const TensorView a = Numbers({64, 16}), y = Numbers({64, 8});
  std::vector<ConstTensorView> b;
  std::vector<TensorView> gradients;
  for (int g = 0; g < 4; ++g) {
    b.push_back(Numbers({8, 16}));
    gradients.push_back(Zeros({16, 8}));
  }
  const auto step = [&](const std::vector<int64_t>& rows) {
    kernels_->GroupedGemm({a, rows, b, true, y});
    kernels_->GroupedWgrad({a, y, rows, gradients});
  };
  step({16, 16, 16, 16});
  const int64_t before = Buffer::GrowthCount();
  step({0, 60, 1, 3});
  step({64, 0, 0, 0});
  EXPECT_EQ(Buffer::GrowthCount(), before);
}

// Row counts that only the device knows.
TEST_F(CudaProductsChoiceTest, OffsetsMayBeWhatAKernelLeft) {
  Open({});
  CudaQueue queue(0);
  CudaMemory memory(queue);
  GroupedLaunch launch(queue, memory, 4);
  const TensorView a = Numbers({6, 16}), y = Numbers({6, 8});
  const std::vector<ConstTensorView> b = {Numbers({8, 16}), Numbers({8, 16}), Numbers({8, 16})};
  Buffer offsets(memory), matrices(memory);
  const std::vector<int64_t> host_offsets = {0, 2, 2, 6};
  std::vector<int64_t> addresses;
  addresses.reserve(b.size());
  for (const ConstTensorView& matrix : b)
    addresses.push_back(reinterpret_cast<int64_t>(matrix.data));
  memory.FromHost(View(host_offsets.data(), {4}), offsets.Ensure<int64_t>({4}));
  memory.FromHost(View(addresses.data(), {3}), matrices.Ensure<int64_t>({3}));
  launch.Run({.product = GroupedProduct::kTransposeB,
              .groups = 3,
              .offsets = offsets.as<int64_t>(),
              .left = a.as<BFloat16>(),
              .left_width = 16,
              .right = y.as<BFloat16>(),
              .right_width = 8,
              .matrices = matrices.as<void*>()});
  std::vector<float> expected;
  for (const float value : Product(Rows(a, 0, 2), b[0]))
    expected.push_back(BFloat16::FromFloat(value).ToFloat());
  for (const float value : Product(Rows(a, 2, 4), b[2]))
    expected.push_back(BFloat16::FromFloat(value).ToFloat());
  EXPECT_EQ(Read(y), expected);
}

}  // namespace
}  // namespace weft
