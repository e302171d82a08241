#include "runtime/worker.h"

#include <gtest/gtest.h>

#include "base/status_macros.h"
#include "tests/runtime/tiny_job.h"
#include "tests/runtime/two_way_device.h"
#include "tests/support/spawn_ranks.h"

namespace weft {
namespace {

// The CPU, with an attention that takes no part of a sequence.
class WholeSequencesDevice final : public TwoWayDevice {
 public:
  bool attention_in_whole_sequences() const override { return true; }
};

// The finest pieces of a block, two sequences of three tiles each, on a device and on the CPU.
absl::StatusOr<int32_t> PiecesOn(ComputeDevice* device, Precision precision) {
  int32_t pieces = 0;
  WEFT_RETURN_IF_ERROR(SpawnRanks(1, [&](Backend& backend) -> absl::Status {
    WorkerOptions options;
    options.model = TinyModel(Backbone::kMixtral);
    options.model.precision = precision;
    options.topology = {1, 1};
    options.layout = {1, 1, 1};
    options.batch = {2, 192, 1, 2};
    options.compute.device = device;
    const std::unique_ptr<Kernels> kernels =
        device == nullptr ? MakeCpuDevice()->MakeKernels() : device->MakeKernels();
    WEFT_ASSIGN_OR_RETURN(const auto worker, Worker::Connect(backend, *kernels, options));
    pieces = worker->graph(StepKind::kTraining)->block_pieces;
    return absl::OkStatus();
  }));
  return pieces;
}

TEST(WorkerTest, BlocksAreCutAsTheAttentionOfTheDeviceCanBe) {
  WholeSequencesDevice whole;
  EXPECT_EQ(PiecesOn(nullptr, Precision::kBf16).value_or(0), 6);
  EXPECT_EQ(PiecesOn(&whole, Precision::kBf16).value_or(0), 2);
  EXPECT_EQ(PiecesOn(&whole, Precision::kFp32).value_or(0), 6) << "that is of bf16";
}

}  // namespace
}  // namespace weft
