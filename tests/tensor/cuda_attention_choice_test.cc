#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "base/bfloat16.h"
#include "base/random.h"
#include "tensor/device/buffer.h"
#include "tensor/kernels/compute_device.h"
#include "tests/support/cuda_emulator/emulated_device.h"
#include "tests/tensor/cuda_choice_fixture.h"

// Who computes attention on a CUDA device, on the emulator.

namespace weft {
namespace {

struct Sizes {
  int64_t sequences, length, heads, kv_heads, head_dim;

  int64_t tokens() const { return sequences * length; }
  Shape qkv() const { return {tokens(), (heads + 2 * kv_heads) * head_dim}; }
  Shape out() const { return {tokens(), heads * head_dim}; }
};

class CudaAttentionChoiceTest : public CudaChoiceFixture {
 protected:
  // Tensors of one call, on the device. In bf16 they may begin `skipped` numbers behind an address
  // that the library takes.
  struct Tensors {
    Sizes sizes;
    TensorView qkv, out, d_out, d_qkv, lse, d_kv;
  };

  void SetUp() override { Open({}); }
  void TearDown() override {
    cuda_emulator::SetCudnn(true);
    cuda_emulator::FailLaunches(0);
  }

  TensorView Room(DType dtype, const Shape& shape, int64_t skipped = 0) {
    buffers_.push_back(std::make_unique<Buffer>(kernels_->memory()));
    const TensorView all = buffers_.back()->Ensure(dtype, {shape.elements() + skipped});
    TensorView view = Elements(all, skipped, shape.elements());
    view.shape = shape;
    return view;
  }
  TensorView Numbers(DType dtype, const Shape& shape, uint64_t seed, int64_t skipped = 0) {
    const TensorView view = Room(dtype, shape, skipped);
    const CounterRng random(seed, "attention");
    std::vector<BFloat16> bf16;
    std::vector<float> fp32;
    for (int64_t i = 0; i < view.elements(); ++i) {
      bf16.push_back(BFloat16::FromFloat(random.Normal(static_cast<uint64_t>(i))));
      fp32.push_back(bf16.back().ToFloat());
    }
    if (dtype == DType::kBF16) {
      kernels_->memory().FromHost(View(bf16.data(), shape), view);
    } else {
      kernels_->memory().FromHost(View(fp32.data(), shape), view);
    }
    return view;
  }
  Tensors Make(const Sizes& sizes, DType dtype = DType::kBF16, int64_t skipped = 0) {
    return {.sizes = sizes,
            .qkv = Numbers(dtype, sizes.qkv(), 1, skipped),
            .out = Room(dtype, sizes.out(), skipped),
            .d_out = Numbers(dtype, sizes.out(), 2, skipped),
            .d_qkv = Room(dtype, sizes.qkv(), skipped),
            .lse = Room(DType::kF32, {sizes.sequences, sizes.heads, sizes.length}),
            .d_kv = Room(DType::kF32, {sizes.tokens(), 2 * sizes.kv_heads * sizes.head_dim})};
  }

  void Forward(const Tensors& t, int64_t begin = 0, int64_t end = kAllTokens) {
    const Sizes& s = t.sizes;
    kernels_->AttentionForward(
        {t.qkv, s.sequences, s.length, s.heads, s.kv_heads, s.head_dim, t.out, t.lse, begin, end});
  }
  void Backward(const Tensors& t, int64_t begin = 0, int64_t end = kAllTokens) {
    const Sizes& s = t.sizes;
    kernels_->AttentionBackward({t.qkv, t.out, t.lse, t.d_out, s.sequences, s.length, s.heads,
                                 s.kv_heads, s.head_dim, t.d_qkv, begin, end, t.d_kv});
  }

  std::vector<float> Read(const ConstTensorView& view) {
    std::vector<float> values(static_cast<size_t>(view.elements()));
    if (view.dtype == DType::kF32) {
      kernels_->memory().ToHost(view, View(values.data(), view.shape));
      return values;
    }
    std::vector<BFloat16> host(values.size());
    kernels_->memory().ToHost(view, View(host.data(), view.shape));
    for (size_t i = 0; i < host.size(); ++i) values[i] = host[i].ToFloat();
    return values;
  }

  // Runs of the library for a forward and a backward.
  int64_t LibraryRuns(const Tensors& t) {
    const int64_t before = cuda_emulator::CudnnRuns();
    Forward(t);
    Backward(t);
    return cuda_emulator::CudnnRuns() - before;
  }
};

TEST_F(CudaAttentionChoiceTest, TheLibraryComputesBf16ThatIsAligned) {
  const Sizes sizes = {2, 20, 4, 2, 24};
  EXPECT_EQ(LibraryRuns(Make(sizes)), 2);
  EXPECT_EQ(LibraryRuns(Make(sizes, DType::kBF16, 8)), 2);
  EXPECT_EQ(LibraryRuns(Make(sizes, DType::kBF16, 4)), 0) << "addresses";
  EXPECT_EQ(LibraryRuns(Make(sizes, DType::kF32)), 0) << "fp32";
  EXPECT_EQ(LibraryRuns(Make({2, 20, 4, 2, 20})), 0) << "head_dim no multiple of 8";
  EXPECT_EQ(LibraryRuns(Make({2, 1, 4, 2, 24})), 0) << "the library refuses the length";
  EXPECT_EQ(LibraryRuns(Make({0, 20, 4, 2, 24})), 0) << "no sequences";
}

TEST_F(CudaAttentionChoiceTest, TheDeviceSaysWhoComputesAndWhatItAsksFor) {
  const auto ends_with = [&](const std::string& end) {
    return device_->description().ends_with(end) ? "" : device_->description();
  };
  EXPECT_EQ(ends_with("; attention in bf16 by plain loops in the place of cuDNN"), "");
  EXPECT_TRUE(device_->attention_in_whole_sequences());
  const int64_t scratch = device_->scratch_bytes(DType::kBF16);
  cuda_emulator::SetCudnn(false);
  Open({});
  EXPECT_EQ(ends_with("; attention without cuDNN and slow: the emulator's is put away"), "");
  EXPECT_FALSE(device_->attention_in_whole_sequences());
  EXPECT_EQ(scratch - device_->scratch_bytes(DType::kBF16), 128 << 10);
  EXPECT_EQ(device_->scratch_bytes(DType::kF32), 0) << "they compute in bf16 alone";
  EXPECT_EQ(LibraryRuns(Make({2, 20, 4, 2, 24})), 0);
  cuda_emulator::SetCudnn(true);
  Open({.libraries = false});
  EXPECT_EQ(ends_with("; attention without cuDNN and slow: it is not asked for"), "");
  EXPECT_FALSE(device_->attention_in_whole_sequences());
  EXPECT_EQ(LibraryRuns(Make({2, 20, 4, 2, 24})), 0);
  EXPECT_FALSE(MakeCpuDevice()->attention_in_whole_sequences());
}

// A backward stores a number for each score, here 2 * length^2 bytes a head, and has 128 KiB.
TEST_F(CudaAttentionChoiceTest, WhatDoesNotFitTheWorkspaceIsCutOrLeftToTheOwnKernel) {
  // 5 sequences of 40,000 bytes, 3 at a time.
  EXPECT_EQ(LibraryRuns(Make({5, 100, 2, 1, 8})), 4);
  // 2 sequences of 160,000 bytes: half of the heads at a time.
  EXPECT_EQ(LibraryRuns(Make({2, 100, 8, 4, 8})), 8);
  // 2 sequences of 145,200 bytes: a third of the heads at a time, and one sequence, though two
  // would fit.
  EXPECT_EQ(LibraryRuns(Make({2, 110, 6, 3, 8})), 12);
  // A head of 184,832 bytes: pieces may end anywhere then.
  const Tensors tensors = Make({1, 304, 1, 1, 8});
  EXPECT_EQ(LibraryRuns(tensors), 0);
  Forward(tensors, 0, 64);
  Forward(tensors, 64, 304);
}

// Heads and sequences that are cut for the workspace are those of the own kernel, all of them.
TEST_F(CudaAttentionChoiceTest, CutsGiveWhatTheOwnKernelGives) {
  for (const Sizes& sizes :
       {Sizes{5, 100, 2, 1, 8}, Sizes{2, 100, 8, 4, 8}, Sizes{2, 110, 6, 3, 8}}) {
    std::vector<std::vector<float>> results[2];
    for (const bool libraries : {false, true}) {
      Open({.libraries = libraries});
      const Tensors tensors = Make(sizes);
      EXPECT_EQ(LibraryRuns(tensors) > 0, libraries);
      results[libraries] = {Read(tensors.out), Read(tensors.lse), Read(tensors.d_qkv)};
    }
    for (size_t tensor = 0; tensor < 3; ++tensor) {
      const std::vector<float>& own = results[0][tensor];
      const std::vector<float>& library = results[1][tensor];
      for (size_t i = 0; i < own.size(); ++i)
        ASSERT_NEAR(library[i], own[i], 0.016 * (1 + std::abs(own[i])))
            << "tensor " << tensor << ", element " << i;
    }
  }
}

// A piece leaves the rows of other sequences alone and gives the bits of the whole.
TEST_F(CudaAttentionChoiceTest, PiecesOfWholeSequencesTouchNoOther) {
  const Sizes sizes = {4, 12, 4, 2, 16};
  const Tensors whole = Make(sizes);
  EXPECT_EQ(LibraryRuns(whole), 2);
  const Tensors piece = Make(sizes);
  for (const TensorView& view : {piece.out, piece.lse, piece.d_qkv}) kernels_->memory().Zero(view);
  const int64_t before = cuda_emulator::CudnnRuns();
  Forward(piece, 12, 36);
  Backward(piece, 12, 36);
  EXPECT_EQ(cuda_emulator::CudnnRuns() - before, 2);
  const auto expect_middle = [&](const TensorView& actual, const TensorView& of_whole) {
    const std::vector<float> values = Read(actual);
    std::vector<float> expected = Read(of_whole);
    const size_t quarter = expected.size() / 4;
    std::fill_n(expected.begin(), quarter, 0.0f);
    std::fill_n(expected.end() - static_cast<std::ptrdiff_t>(quarter), quarter, 0.0f);
    EXPECT_EQ(values, expected);
  };
  expect_middle(piece.out, whole.out);
  expect_middle(piece.lse, whole.lse);
  expect_middle(piece.d_qkv, whole.d_qkv);
}

using CudaAttentionChoiceDeathTest = CudaAttentionChoiceTest;

TEST_F(CudaAttentionChoiceDeathTest, APieceInsideASequenceIsAnError) {
  const Tensors tensors = Make({2, 128, 1, 1, 8});
  const std::string text = "pieces of attention by cuDNN begin and end where sequences do";
  EXPECT_DEATH(Forward(tensors, 0, 64), text);
  EXPECT_DEATH(Forward(tensors, 64, 128), text);
  EXPECT_DEATH(Backward(tensors, 64, 256), text);
}

TEST_F(CudaAttentionChoiceTest, WhatTheLibraryRefusesEndsTheStep) {
  const Tensors tensors = Make({2, 20, 4, 2, 24});
  LibraryRuns(tensors);  // buffers are there
  for (const bool backward : {false, true}) {
    const auto stream = device_->MakeStream({.name = "compute", .computes = true});
    cuda_emulator::FailLaunches(1);
    ASSERT_TRUE(stream
                    ->Enqueue([&] {
                      backward ? Backward(tensors) : Forward(tensors);
                      return absl::OkStatus();
                    })
                    .ok());
    EXPECT_EQ(stream->Synchronize(),
              absl::InternalError(std::string(backward ? "AttentionBackward" : "AttentionForward") +
                                  " of 2 sequences of 20 tokens by plain loops in the place of "
                                  "cuDNN: an error of the emulator"));
  }
}

TEST_F(CudaAttentionChoiceTest, AWarmCallAllocatesNothing) {
  const Tensors tensors = Make({4, 12, 4, 2, 16});
  LibraryRuns(tensors);
  const int64_t before = Buffer::GrowthCount();
  LibraryRuns(tensors);
  Forward(tensors, 12, 36);
  Backward(tensors, 12, 36);
  EXPECT_EQ(Buffer::GrowthCount(), before);
}

}  // namespace
}  // namespace weft
