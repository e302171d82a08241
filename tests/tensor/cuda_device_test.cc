#include <gtest/gtest.h>

#include <vector>

#include "tensor/device/buffer.h"
#include "tensor/kernels/compute_device.h"
#include "tests/support/cuda_emulator/emulated_device.h"

// What a device is and how its streams behave, on the emulator.

namespace weft {
namespace {

class CudaDeviceTest : public testing::Test {
 protected:
  void SetUp() override {
    auto made = MakeCudaDevice(0);
    ASSERT_TRUE(made.ok()) << made.status();
    device_ = *std::move(made);
    kernels_ = device_->MakeKernels();
  }
  void TearDown() override {
    cuda_emulator::SetDevices(1);
    cuda_emulator::FailLaunches(0);
  }

  Memory& memory() { return kernels_->memory(); }
  std::vector<float> Read(const TensorView& view) {
    std::vector<float> values(static_cast<size_t>(view.elements()));
    memory().ToHost(view, View(values.data(), view.shape));
    return values;
  }

  std::unique_ptr<ComputeDevice> device_;
  std::unique_ptr<Kernels> kernels_;
};

TEST_F(CudaDeviceTest, WhyThereIsNoneIsSaid) {
  EXPECT_EQ(
      device_->description(),
      "emulator, 4 SMs, 1 GiB; products by plain loops in the place of cuBLASLt, of groups also "
      "in one launch by plain loops in the place of CUTLASS; attention in bf16 by plain loops in "
      "the place of cuDNN");
  EXPECT_EQ(MakeCudaDevice(3).status(),
            absl::UnavailableError("CUDA device 3 does not exist: there are 1"));
  cuda_emulator::SetDevices(0);
  EXPECT_EQ(MakeCudaDevice(0).status(),
            absl::UnavailableError("no CUDA device: no NVIDIA driver is loaded"));
}

TEST_F(CudaDeviceTest, MemoryBeginsClearedAndKnowsItself) {
  Buffer buffer(memory());
  const TensorView values = buffer.Ensure<float>({3});
  EXPECT_EQ(Read(values), (std::vector<float>{0, 0, 0}));
  float host = 0;
  EXPECT_TRUE(memory().Holds(values.as<float>() + 2));
  EXPECT_FALSE(memory().Holds(&host));
  Buffer pinned(device_->staging_memory());
  const TensorView staged = pinned.Ensure<float>({3});
  EXPECT_FALSE(memory().Holds(staged.data));
  staged.as<float>()[1] = 5;
  memory().FromHost(staged, values);
  staged.as<float>()[1] = 6;  // has been read
  EXPECT_EQ(Read(values), (std::vector<float>{0, 5, 0}));
}

// More than passes through a thread's pinned memory at once.
TEST_F(CudaDeviceTest, LargeTensorsReachTheHostWhole) {
  const int64_t count = (int64_t{3} << 18) + 7;
  std::vector<float> values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 1000);
  Buffer buffer(memory());
  const TensorView there = buffer.Ensure<float>({count});
  memory().FromHost(View(values.data(), {count}), there);
  EXPECT_EQ(Read(there), values);
}

TEST_F(CudaDeviceTest, AStreamWaitsForWhatAnotherWasGiven) {
  Buffer buffer(memory());
  const TensorView x = buffer.Ensure<float>({2});
  const auto producer = device_->MakeStream({.name = "producer"});
  const auto consumer = device_->MakeStream({.name = "consumer"});
  const float ones[] = {1, 2};
  ASSERT_TRUE(producer
                  ->Enqueue([&] {
                    memory().FromHost(View(ones, {2}), x);
                    kernels_->Scale(3, x);
                    return absl::OkStatus();
                  })
                  .ok());
  const auto scaled = producer->Record();
  ASSERT_TRUE(scaled.ok());
  ASSERT_TRUE(consumer->Wait(*scaled).ok());
  std::vector<float> seen;
  ASSERT_TRUE(consumer
                  ->Enqueue([&] {
                    kernels_->Add(x, x, x);
                    seen = Read(x);
                    return absl::OkStatus();
                  })
                  .ok());
  EXPECT_TRUE(consumer->Synchronize().ok());
  EXPECT_EQ(seen, (std::vector<float>{6, 12}));
  EXPECT_TRUE((*scaled)->Reached());
  EXPECT_TRUE(producer->Synchronize().ok());
}

TEST_F(CudaDeviceTest, StampsAreTimesOfTheDevice) {
  const auto stream = device_->MakeStream({.name = "test"});
  for (int round = 0; round < 3; ++round) {
    int64_t begin = 0, end = 0;
    const int64_t before = MonotonicClock().NowNanos();
    ASSERT_TRUE(stream
                    ->Enqueue([&] {
                      stream->Stamp(MonotonicClock(), &begin);
                      stream->Stamp(MonotonicClock(), &end);
                      return absl::OkStatus();
                    })
                    .ok());
    ASSERT_TRUE(stream->Synchronize().ok());
    const int64_t after = MonotonicClock().NowNanos();
    EXPECT_GE(begin, before);
    EXPECT_GE(end, begin);
    // The host learns of the anchor a little late.
    EXPECT_LE(end, after + 1'000'000'000);
  }
}

// As Nsight shows them.
TEST_F(CudaDeviceTest, WorkIssuedInARangeHasItsName) {
  Buffer buffer(memory());
  const TensorView x = buffer.Ensure<float>({2});
  const auto stream = device_->MakeStream({.name = "test"});
  ASSERT_TRUE(stream
                  ->Enqueue([&] {
                    stream->BeginRange("expert.fwd.l0[1/2]");
                    kernels_->Add(x, x, x);
                    stream->EndRange();
                    kernels_->Add(x, x, x);
                    return absl::OkStatus();
                  })
                  .ok());
  ASSERT_TRUE(stream->Synchronize().ok());
  const std::set<std::string> ranges = cuda_emulator::RangesOfLaunches();
  EXPECT_TRUE(ranges.contains("expert.fwd.l0[1/2]"));
  EXPECT_TRUE(ranges.contains(""));
}

TEST_F(CudaDeviceTest, AFailedLaunchIsTheErrorOfItsStream) {
  Buffer buffer(memory());
  const TensorView x = buffer.Ensure<float>({2});
  const auto stream = device_->MakeStream({.name = "test"});
  ASSERT_TRUE(stream
                  ->Enqueue([&] {
                    cuda_emulator::FailLaunches(1);
                    kernels_->Scale(3, x);
                    return absl::OkStatus();
                  })
                  .ok());
  bool skipped = true;
  ASSERT_TRUE(stream
                  ->Enqueue([&] {
                    skipped = false;
                    return absl::OkStatus();
                  })
                  .ok());
  const absl::Status status = stream->Synchronize();
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(status.message(), "CUDA: Scale: cudaErrorEmulated (an error of the emulator)");
  EXPECT_TRUE(skipped);
  EXPECT_TRUE(stream->Synchronize().ok());
}

TEST_F(CudaDeviceTest, EventsFireOnAPoisonedStream) {
  const auto broken = device_->MakeStream({.name = "broken"});
  const auto other = device_->MakeStream({.name = "other"});
  ASSERT_TRUE(broken->Enqueue([] { return absl::InternalError("broken"); }).ok());
  const auto event = broken->Record();
  ASSERT_TRUE(event.ok());
  ASSERT_TRUE(other->Wait(*event).ok());
  EXPECT_TRUE(other->Synchronize().ok());
  EXPECT_FALSE(broken->Synchronize().ok());
}

}  // namespace
}  // namespace weft
