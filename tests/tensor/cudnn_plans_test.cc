#include <dlfcn.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>

#include "tensor/kernels/cuda/cudnn_attention.h"

// What cuDNN plans for an H200 where there is none: that it takes the shapes of models as they
// stand in Weft's tensors, with which engine, and what it asks for. Nothing is computed.

namespace weft {
namespace {

// As cuDNN writes a device's properties; the members that it asks for.
constexpr const char* kH200 = R"({
  "deviceName": "NVIDIA H200", "deviceVer": 900, "driverVer": 13000, "cudaDeviceId": 0,
  "multiProcessorCount": 132, "warpSize": 32, "totalGlobalMem": 150000000000,
  "maxGridSize": [2147483647, 65535, 65535], "maxBlockSize": [1024, 1024, 64],
  "maxThreadsPerBlock": 1024, "maxThreadsPerSM": 2048, "maxCtasPerSM": 32,
  "regsPerBlock": 65536, "maxRegistersPerSM": 65536, "maxSharedMemoryPerBlock": 49152,
  "maxSharedMemoryPerBlockOptin": 232448, "reservedSharedMemoryPerBlock": 1024,
  "l2CacheSize": 62914560, "smClockRateKHz": 1980000, "memClockRateKHz": 3201000,
  "pciDeviceId": 0, "isTccDriver": 0, "supportCoopLaunch": 1})";

constexpr auto kForward = AttentionDirection::kForward;
constexpr auto kBackward = AttentionDirection::kBackward;

// All heads of a model.
AttentionShape Whole(int64_t sequences, int64_t length, int64_t heads, int64_t kv_heads,
                     int64_t head_dim) {
  return {.sequences = sequences,
          .length = length,
          .heads = heads,
          .kv_heads = kv_heads,
          .head_dim = head_dim,
          .qkv_row = (heads + 2 * kv_heads) * head_dim,
          .out_row = heads * head_dim};
}

class CudnnPlansTest : public testing::Test {
 protected:
  void SetUp() override {
    // tests/support/cuda_driver, by ctest's LD_LIBRARY_PATH.
    if (dlopen("libcuda.so.1", RTLD_NOW) == nullptr) GTEST_SKIP() << dlerror();
    auto opened = PlanCudnnAttention(kH200);
    if (!opened.ok()) GTEST_SKIP() << opened.status().message();
    library_ = *std::move(opened);
  }

  AttentionPlan PlanOf(AttentionDirection direction, const AttentionShape& shape) {
    const auto plan = library_->Plan(direction, shape);
    EXPECT_TRUE(plan.ok()) << plan.status() << ": " << shape.sequences << " x " << shape.length
                           << ", heads " << shape.heads << "/" << shape.kv_heads << ", head_dim "
                           << shape.head_dim;
    return plan.ok() ? *plan : AttentionPlan{};
  }

  std::unique_ptr<CudnnAttention> library_;
};

TEST_F(CudnnPlansTest, ModelsHavePlansAndADeterministicBackwardStoresTheScores) {
  for (const int64_t length : {128, 1000, 4096}) {
    for (const int64_t head_dim : {64, 128}) {
      const AttentionShape shape = Whole(1, length, 32, 8, head_dim);
      EXPECT_LE(PlanOf(kForward, shape).workspace_bytes, 1 << 20);
      const int64_t bytes = PlanOf(kBackward, shape).workspace_bytes;
      const int64_t scores = 32 * length * length * 2;
      // Keys and values of every head of queries, rounded up to whole tiles.
      const int64_t beside = 32 * (length + 128) * (4 * head_dim + 2 * 128) + (1 << 20);
      EXPECT_GE(bytes, scores);
      EXPECT_LE(bytes, scores + beside);
    }
  }
}

TEST_F(CudnnPlansTest, AnyNumberOfSequencesHasTheEngineOfOne) {
  for (const AttentionDirection direction : {kForward, kBackward}) {
    const AttentionPlan one = PlanOf(direction, Whole(1, 1024, 32, 8, 128));
    EXPECT_FALSE(one.engine.empty());
    for (const int64_t sequences : {2, 9}) {
      const AttentionPlan many = PlanOf(direction, Whole(sequences, 1024, 32, 8, 128));
      EXPECT_EQ(many.engine, one.engine);
      // So that as many sequences as the workspace of one lets expect do fit.
      EXPECT_LE(many.workspace_bytes, sequences * one.workspace_bytes);
    }
  }
}

TEST_F(CudnnPlansTest, SomeHeadsOfLongerRowsHavePlans) {
  AttentionShape part = Whole(1, 256, 32, 8, 64);
  part.heads = 8;
  part.kv_heads = 2;
  PlanOf(kForward, part);
  PlanOf(kBackward, part);
}

TEST_F(CudnnPlansTest, SmallHeadsAndOddLengthsHavePlans) {
  const AttentionShape shape = Whole(1, 77, 2, 1, 8);
  PlanOf(kForward, shape);
  PlanOf(kBackward, shape);
}

TEST_F(CudnnPlansTest, WhatIsNotTakenIsSaid) {
  EXPECT_FALSE(library_->Plan(kBackward, Whole(1, 1, 2, 1, 64)).ok());
  const auto odd = library_->Plan(kForward, Whole(1, 128, 2, 1, 20));
  EXPECT_FALSE(odd.ok());
  EXPECT_FALSE(odd.status().message().empty());
}

}  // namespace
}  // namespace weft
